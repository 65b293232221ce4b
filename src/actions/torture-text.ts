// The certificate as lines for people, on the terminal and in the vault. Pure; names of other people's making are printed by
// whoever shows the lines.

import { formatDuration } from '../base/units.ts';
import type { Certificate, PartResult, TortureKind } from './torture-result.ts';

const NAMES: Readonly<Record<TortureKind, string>> = {
  baseline: 'without a fault',
  kill: 'killed at a call of the kernel',
  'kill-call': 'killed at a call of ours',
  'kill-moment': 'killed at any moment',
  error: 'a call of the kernel failed',
  'error-call': 'a call of ours failed',
  'full-disk': 'the disk was full',
  'size-limit': 'files were limited in size',
  'bit-flip': 'a bit flipped',
  truncation: 'a file was cut off',
  together: 'two and five runs at once',
  clock: 'the clock jumped',
  'power-cut': 'the power was cut',
};
/** Losses that are printed; the JSON has more. */
const PRINTED = 20;

export function certificateLines(certificate: Certificate): string[] {
  const { place, points, losses, seconds, seed, cora, began, parts } = certificate;
  const lost = parts.reduce((sum, part) => sum + part.losses, 0);
  const device = place.device;
  return [
    `Tortured  ${place.directory}, ${began}`,
    `Disk      ${place.file_system} on ${place.source}, mounted at ${place.mount_point} (${place.mount_options})`,
    ...(device === null ? [] : [`Device    ${[device.name, device.model, device.write_cache].filter((word) => word !== null).join(', ')}`]),
    `Kernel    ${place.kernel}`,
    `Cora      ${cora}, seed ${seed}, ${formatDuration(seconds * 1000)}`,
    ...parts.map((part) => `  ${NAMES[part.kind].padEnd(31)} ${partText(part)}`),
    ...losses
      .slice(0, PRINTED)
      .flatMap(({ point, violations }) => [`LOST      ${point}`, ...violations.map(({ sentence }) => `          ${sentence}`)]),
    ...(losses.length > PRINTED ? [`          and ${losses.length - PRINTED} more (--json)`] : []),
    `Result    ${grouped(points)} points tried, ${lost === 0 ? 'nothing was lost' : `${grouped(lost)} LOST SOMETHING`}`,
  ];
}

function partText({ tried, missed, losses, all, skipped }: PartResult): string {
  if (skipped !== undefined) return `not tried: ${skipped}`;
  const count = `${grouped(tried).padStart(7)}${all ? ', all there are' : ''}${missed === 0 ? '' : `, and ${grouped(missed)} that came too late`}`;
  return losses === 0 ? count : `${count}, ${grouped(losses)} LOST SOMETHING`;
}

const grouped = (count: number) => String(count).replace(/\B(?=(\d{3})+$)/g, ',');
