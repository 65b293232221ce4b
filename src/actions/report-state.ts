// What a report's status means for those who rely on the snapshot. Pure.

import type { Report } from '../format/report.ts';

/** Of these databases everything is there that the live one has. */
const KEPT_RAW = new Set(['db_corrupt', 'db_encrypted']);

/** Complete, or incomplete with every critical file and database there. */
export function isGood(report: Report): boolean {
  if (report.status !== 'partial') return report.status === 'complete';
  const critical = new Set(report.critical);
  return !report.problems.some(
    ({ severity, path, code }) =>
      severity === 'error' && !KEPT_RAW.has(code) && (/^(?:db|artefact)_/.test(code) || (path !== undefined && critical.has(path)) || path === '.'),
  );
}

/** Good but for artefacts: another backup of this state would lack them too. `cora backup auto` does not make one for each push. */
export function isGoodButArtefacts(report: Report): boolean {
  return isGood({ ...report, problems: report.problems.filter(({ code }) => !code.startsWith('artefact_')) });
}
