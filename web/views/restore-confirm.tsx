// The second yes to a restore: a word that is typed, and of live databases what their programs do meanwhile.

import { useRef, useState } from 'preact/hooks';
import { Icon } from '../parts/icons.tsx';
import type { Planned } from '../types-restore.ts';
import { plain } from '../visible.ts';

/** What the server is sent with a plan's token. */
export type Yes = { readonly confirm: string; readonly confirm_service_stopped?: true; readonly live?: true };

type ConfirmProps = {
  readonly plan: Pick<Planned, 'confirm' | 'needs_service_stopped'>;
  readonly busy: boolean;
  readonly word: string;
  readonly onApply: (yes: Yes) => void;
  readonly onBack: () => void;
};

/** The second yes: a word that is typed, and of live databases what their programs do meanwhile. */
export function Confirm({ plan, busy, word, onApply, onBack }: ConfirmProps) {
  const [typed, setTyped] = useState('');
  const [service, setService] = useState<'stopped' | 'live'>();
  const [asked, setAsked] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const asks = plan.needs_service_stopped;
  const fits = typed.trim().toLowerCase() === plan.confirm && (!asks || service !== undefined);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (!fits || busy) {
      setAsked(true);
      field.current?.focus();
      return;
    }
    const consent = !asks ? {} : service === 'live' ? { live: true as const } : { confirm_service_stopped: true as const };
    onApply({ confirm: typed.trim(), ...consent });
  };
  return (
    <form class="card confirm" onSubmit={submit}>
      {asks ? (
        <fieldset class="where">
          <legend>The programs that use these databases</legend>
          {asked && service === undefined ? (
            <p class="hint" role="alert">
              Choose one of the two first.
            </p>
          ) : null}
          <label>
            <input type="radio" name="service" checked={service === 'stopped'} onChange={() => setService('stopped')} />
            <span>
              <strong>are stopped</strong>
              <span class="hint">The files are replaced.</span>
            </span>
          </label>
          <label>
            <input type="radio" name="service" checked={service === 'live'} onChange={() => setService('live')} />
            <span>
              <strong>work on</strong>
              <span class="hint">The content is replaced through SQLite.</span>
            </span>
          </label>
        </fieldset>
      ) : null}
      <label class="type-word">
        <span>
          Type <strong class="typed">{plain(plan.confirm)}</strong> to go on
        </span>
        <input
          ref={field}
          type="text"
          value={typed}
          onInput={(event) => setTyped(event.currentTarget.value)}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
        />
      </label>
      <p class="actions">
        <button type="submit" class="primary" aria-disabled={!fits || busy}>
          <Icon name="restore" /> {busy ? 'Working …' : word}
        </button>
        <button type="button" onClick={onBack} disabled={busy}>
          Not now
        </button>
      </p>
    </form>
  );
}
