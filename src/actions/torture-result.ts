// What `cora torture` is asked for, and what it tells: the certificate. Fields are only ever added (docs/json.md).

import type { Violation } from './judge.ts';
import type { PlaceFacts } from './torture-facts.ts';

export type TortureOptions = {
  /** Absolute and there; the scratch directory is made in it. */
  readonly directory: string;
  /** Milliseconds after which no new point is begun, from the first point on. */
  readonly duration: number;
  /** Bytes that the scratch directory may take. */
  readonly space: number;
  readonly seed: number;
  /** Real path of bin/cora, and the PATH in which it finds a Node. */
  readonly launcher: string;
  readonly searchPath: string;
  readonly uid: number;
};

/** Every kind of fault, in the order in which they are told. */
export const TORTURE_KINDS = [
  'baseline',
  'kill',
  'kill-call',
  'kill-moment',
  'error',
  'error-call',
  'full-disk',
  'size-limit',
  'bit-flip',
  'truncation',
  'together',
  'clock',
  'power-cut',
] as const;
export type TortureKind = (typeof TORTURE_KINDS)[number];

export type Loss = { readonly kind: TortureKind; readonly point: string; readonly violations: readonly Violation[] };

export type PartResult = {
  readonly kind: TortureKind;
  /** Faults that were met; those that came too late to be met are in `missed`. */
  readonly tried: number;
  readonly missed: number;
  readonly losses: number;
  /** True where every point there is was tried; false where the time ended first. */
  readonly all: boolean;
  /** Why none could be tried here; undefined where they could. */
  readonly skipped: string | undefined;
};

export type TortureOutcome = 'ok' | 'lost';

export type Certificate = {
  readonly schema: 1;
  /** `YYYYMMDD-HHMMSS`, UTC: when it began, and the name of its files in the vault. */
  readonly id: string;
  /** RFC 3339. */
  readonly began: string;
  readonly seconds: number;
  readonly cora: string;
  readonly seed: number;
  readonly place: PlaceFacts;
  readonly parts: readonly PartResult[];
  readonly points: number;
  readonly losses: readonly Loss[];
  readonly outcome: TortureOutcome;
};
