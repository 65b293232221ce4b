// The Monitor of a request: what it is told goes to the events, where the route is one that others want to hear of;
// problems and notes are kept for the answer too. Invariant: nothing here throws.

import type { Monitor, Problem } from '../../base/context.ts';
import { progressLine } from '../terminal.ts';
import type { Events } from './events.ts';

const EVERY_MS = 250;
const KEPT = 50;

export type RunMonitor = { readonly monitor: Monitor; readonly notes: readonly string[]; readonly problems: readonly Problem[] };

/** @param events undefined where nobody is to hear of it */
export function monitorOf(run: string, command: string, events: Events | undefined, now: () => number): RunMonitor {
  const notes: string[] = [];
  const problems: Problem[] = [];
  let phaseAt = now();
  let sentAt = 0;
  return {
    notes,
    problems,
    monitor: {
      phase(phase) {
        phaseAt = now();
        sentAt = 0;
        events?.publish('phase', { run, command, phase });
      },
      progress(progress) {
        if (events === undefined || now() - sentAt < EVERY_MS) return;
        sentAt = now();
        const { phase, files, totalFiles, bytes, totalBytes } = progress;
        const figures = { phase, files, total_files: totalFiles, bytes, total_bytes: totalBytes };
        events.publish('progress', { run, command, ...figures, text: progressLine(progress, now() - phaseAt) });
      },
      problem(problem) {
        if (problems.length < KEPT) problems.push(problem);
        events?.publish('problem', { run, command, ...problem });
      },
      note(message) {
        if (notes.length < KEPT) notes.push(message);
        events?.publish('note', { run, command, message });
      },
    },
  };
}
