// The Monitor of a tool call: progress as notifications where the client asked for them, problems and notes
// kept for the answer. Invariant: progress only grows, and nothing here throws.

import type { Monitor, Problem, Progress } from '../../base/context.ts';
import { progressLine } from '../terminal.ts';

export type ProgressNotice = { readonly progress: number; readonly message: string };

const EVERY_MS = 250;
const KEPT = 50;

export type CallMonitor = { readonly monitor: Monitor; readonly notes: readonly string[]; readonly problems: readonly Problem[] };

/** @param send undefined where nobody wants to hear of progress */
export function monitorOf(send: ((notice: ProgressNotice) => void) | undefined, now: () => number): CallMonitor {
  const notes: string[] = [];
  const problems: Problem[] = [];
  let phases = 0;
  let phaseAt = now();
  let sentAt = 0;
  let sent = -1;
  const tell = (progress: number, message: string) => {
    if (send === undefined || progress <= sent) return;
    sent = progress;
    sentAt = now();
    send({ progress, message });
  };
  return {
    notes,
    problems,
    monitor: {
      phase(phase) {
        phases += 1;
        phaseAt = now();
        tell(phases, phase);
      },
      progress(progress) {
        if (now() - sentAt >= EVERY_MS) tell(phases + partOf(progress), progressLine(progress, now() - phaseAt));
      },
      problem(problem) {
        if (problems.length < KEPT) problems.push(problem);
      },
      note(message) {
        if (notes.length < KEPT) notes.push(message);
      },
    },
  };
}

/** Of one phase, how much is done; never a whole one, which is the next phase. */
function partOf({ files, totalFiles, bytes, totalBytes }: Progress): number {
  const part = totalBytes > 0 ? bytes / totalBytes : totalFiles > 0 ? files / totalFiles : 0;
  return Math.min(0.99, Math.max(0, Number.isFinite(part) ? part : 0));
}
