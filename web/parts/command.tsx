// A command to type, with a button that copies it. What is a sentence and no command gets no button.

import { useState } from 'preact/hooks';
import { announce } from '../announce.ts';
import { plain } from '../visible.ts';
import { Icon } from './icons.tsx';

export function Command({ text }: { readonly text: string }) {
  const [copied, setCopied] = useState(false);
  if (!/^(?:cora|npx cora|sudo) \S/.test(text)) return <span class="next-step">{plain(text)}</span>;
  const copy = (): void => {
    const done = (): void => {
      setCopied(true);
      announce('Copied');
      setTimeout(() => setCopied(false), 2000);
    };
    navigator.clipboard.writeText(text).then(done, () => announce('The browser does not let this page copy: select the command instead'));
  };
  return (
    <span class="command">
      <code>{plain(text)}</code>
      <button type="button" class="small" onClick={copy} aria-label={`Copy: ${plain(text)}`}>
        <Icon name={copied ? 'verified' : 'copy'} />
        {copied ? 'Copied' : 'Copy'}
      </button>
    </span>
  );
}
