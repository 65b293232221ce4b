// The question for the token. It is typed or pasted once for a tab; the server tells where its file is.

import { useRef, useState } from 'preact/hooks';
import { ApiError, forgetToken, get, keepToken } from '../api.ts';
import { Icon } from '../parts/icons.tsx';

export function TokenPrompt({ onDone, why }: { readonly onDone: () => void; readonly why: string | undefined }) {
  const field = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState(why);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const value = field.current?.value.trim() ?? '';
    if (value === '') return setWrong('Paste the token first');
    keepToken(value);
    setBusy(true);
    try {
      await get('health');
      onDone();
    } catch (error) {
      const refused = error instanceof ApiError && error.status === 401;
      if (error instanceof ApiError && !refused && error.status > 0 && error.status !== 429) return onDone();
      forgetToken();
      setWrong(refused ? 'That is not the token of this vault' : error instanceof Error ? error.message : String(error));
      field.current?.select();
    } finally {
      setBusy(false);
    }
  };
  return (
    <main class="token" id="content">
      <form class="card" onSubmit={(event) => void submit(event)}>
        <h1>
          <span class="brand" aria-hidden="true">
            <Icon name="overview" />
          </span>
          Cora
        </h1>
        <p>
          This page shows what is in the vault, and can put it back. It asks for the token that <code>cora serve</code> keeps in the vault:
        </p>
        <p class="token-way">
          <code>VAULT/ledger/http-token</code>
        </p>
        <label for="token">Token</label>
        <input
          id="token"
          ref={field}
          type="password"
          autocomplete="off"
          spellcheck={false}
          aria-describedby="token-note"
          aria-invalid={wrong !== undefined}
        />
        <p id="token-note" class="hint">
          <code>cora serve</code> prints the path of the file. The token stays in this tab only.
        </p>
        {wrong === undefined ? null : (
          <p role="alert" class="wrong">
            <Icon name="bad" /> {wrong}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy}>
          {busy ? 'Asking' : 'Open'}
        </button>
      </form>
    </main>
  );
}
