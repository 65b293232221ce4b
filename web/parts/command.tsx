// A command to type, with a button that copies it. What is a sentence and no command has no button.

import { useState } from 'preact/hooks';
import { announce } from '../announce.ts';
import { readHint } from '../hint.ts';
import { plain } from '../visible.ts';
import { Icon } from './icons.tsx';

/** @param whole the text is a command and nothing else */
export function Command({ text, whole = false }: { readonly text: string; readonly whole?: boolean }) {
  const [copied, setCopied] = useState(false);
  const { command, rest } = whole ? { command: text, rest: '' } : readHint(text);
  if (command === '') return <span class="next-step">{plain(text)}</span>;
  const copy = (): void => {
    const done = (): void => {
      setCopied(true);
      announce('Copied');
      setTimeout(() => setCopied(false), 2000);
    };
    navigator.clipboard.writeText(command).then(done, () => announce('The browser does not let this page copy: select the command instead'));
  };
  // A name in it that would steer the terminal it is pasted into is shown, and not copied.
  const safe = plain(command) === command;
  return (
    <span class="command">
      <code>{plain(command)}</code>
      {safe ? (
        <button type="button" class="small" onClick={copy} aria-label={`Copy: ${command}`}>
          <Icon name={copied ? 'verified' : 'copy'} />
          {copied ? 'Copied' : 'Copy'}
        </button>
      ) : null}
      {rest === '' ? null : <span class="next-step">{plain(rest)}</span>}
    </span>
  );
}
