// A wait that blocks the thread, for what must not give way to other work of ours meanwhile (locks, clean-up).

export function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
