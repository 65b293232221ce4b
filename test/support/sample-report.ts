// A report as a save makes it, for tests of what is printed.

import type { Report } from '../../src/format/report.ts';

export const SAMPLE_ID = '20261121-143000-1a2b3c4';

export function sampleReport(parts: Partial<Report> = {}): Report {
  return {
    schema: 1,
    kind: 'save',
    type: 'save',
    snapshot_id: SAMPLE_ID,
    sequence: 7,
    previous: '0'.repeat(64),
    status: 'complete',
    vault_id: '00000000-0000-4000-8000-000000000000',
    project: { name: 'app', root: '/srv/app' },
    host: { hostname: 'box', os: 'Debian 12', kernel: '6.1', arch: 'x64', node: '24.21.0', cora: '0.1.0' },
    timezone: 'UTC',
    git: null,
    note: null,
    label: null,
    trigger: 'manual',
    backup_start: '2026-11-21T14:30:00.000Z',
    backup_end: '2026-11-21T14:30:00.400Z',
    keyframe: null,
    exported_from: null,
    files_new: 10,
    files_changed: 1,
    files_unmodified: 1200,
    files_removed: 1,
    dirs: 90,
    links: 2,
    specials: 0,
    data_added: 1_200_000,
    data_added_packed: 400_000,
    total_files_processed: 1211,
    total_bytes_processed: 247_000_000,
    total_duration: 0.4,
    databases: [],
    units: [],
    critical: ['CLAUDE.md'],
    large_files: [],
    capped: [],
    not_covered: [],
    problems: [],
    ...parts,
  };
}
