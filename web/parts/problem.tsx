// What went wrong, in one box: the sentence, and what to do next.

import type { ApiError } from '../api.ts';
import { plain } from '../visible.ts';
import { Command } from './command.tsx';
import { Icon } from './icons.tsx';

export function ProblemBox({ error, again }: { readonly error: ApiError; readonly again?: () => void }) {
  return (
    <div class="box tone-bad" role="alert">
      <p>
        <Icon name="bad" /> <strong>{plain(error.message)}</strong>
      </p>
      {error.next === undefined ? null : (
        <p>
          <Command text={error.next} />
        </p>
      )}
      {again === undefined ? null : (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function Waiting({ what }: { readonly what: string }) {
  return (
    <p class="waiting" role="status">
      <span class="pulse" aria-hidden="true" /> {what}
    </p>
  );
}
