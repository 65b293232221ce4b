// Names that others chose (files, labels, notes, messages), as text alone. Invariant: none of them can turn the direction of what
// stands beside it, hide a part of itself or pass for another: each is isolated, and what has no shape of its own is written out.

import type { ComponentChildren } from 'preact';
import { partsOf } from './visible.ts';

export function Name({ text, of }: { readonly text: string; readonly of?: string }) {
  const parts: ComponentChildren[] = partsOf(text, of === 'path').map((part, index) => (index % 2 === 1 ? <span class="escape">{part}</span> : part));
  return <bdi class={of === undefined ? 'name' : `name ${of}`}>{parts}</bdi>;
}
