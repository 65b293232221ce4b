// Shapes on a 16 by 16 grid, drawn in the colour of the text. They are never alone: a word stands beside each, or names it.

const PATHS = {
  // Kinds of snapshots: each has a shape of its own.
  save: 'M8 3.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6Z',
  backup: 'M8 .9 14.4 4.5v7L8 15.1 1.6 11.5v-7Z',
  checkpoint: 'M3.5 3.5h9v9h-9Z',
  suspect: 'M8 1.2 15.4 14.4H.6Z',
  // States.
  sealed: 'M4 7V5a4 4 0 0 1 8 0v2h1v8H3V7Zm2 0h4V5a2 2 0 0 0-4 0Z',
  verified: 'M6.4 13.2 1.6 8.4 3.4 6.6l3 3 6.2-6.4 1.8 1.8Z',
  offsite: 'M4.2 13a3.4 3.4 0 0 1-.5-6.8A4.6 4.6 0 0 1 12.5 7a3 3 0 0 1-.3 6H9V9.6l1.5 1.5 1.1-1.1L8 6.4 4.4 10l1.1 1.1L7 9.6V13Z',
  drilled: 'M8 2a6 6 0 1 1-5.7 4.1l1.9.6A4 4 0 1 0 8 4v2.6L3.6 3.3 8 0Z',
  durable:
    'M8 1c3.6 0 6 1 6 2.6v8.8C14 14 11.6 15 8 15s-6-1-6-2.6V3.600C2 2 4.400 1 8 1Zm0 1.700c-2.700 0-4.200.6-4.300.9.1.3 1.600 1 4.300 1s4.200-.7 4.300-1c-.1-.3-1.600-.9-4.300-.9Z',
  pinned: 'M5 1h6v2l-1 .6V7l2.500 2.600V11H9v4H7v-4H3.500V9.600L6 7V3.600L5 3Z',
  warn: 'M8 1.200 15.400 14.400H.600ZM7.200 6v4.200h1.600V6Zm0 5.200v1.600h1.600v-1.600Z',
  bad: 'M5 1h6l4 4v6l-4 4H5l-4-4V5Zm2.200 3v5h1.600V4Zm0 6v1.800h1.600V10Z',
  unknown: 'M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Zm0 1.800a5.200 5.200 0 1 0 0 10.400A5.200 5.200 0 0 0 8 2.800ZM4.500 7.200h7v1.600h-7Z',
  // Things and acts.
  file: 'M3.500 1h6L13 4.500V15h-9.500Zm1.500 1.500v11h6.500V5.500H8.500v-3Z',
  directory: 'M1 2.500h5.200l1.600 2H15v9H1Z',
  database:
    'M8 1c3.600 0 6 1 6 2.600v8.800C14 14 11.600 15 8 15s-6-1-6-2.600V3.600C2 2 4.400 1 8 1Zm-4.500 5v2c.5.600 2.200 1.200 4.500 1.200s4-.6 4.500-1.200V6c-1 .6-2.700.9-4.500.9S4.500 6.600 3.500 6Z',
  link: 'M6.500 5H4.200a3 3 0 0 0 0 6h2.300V9.500H4.200a1.500 1.500 0 0 1 0-3h2.300Zm3 0v1.500h2.300a1.500 1.500 0 0 1 0 3H9.500V11h2.300a3 3 0 0 0 0-6ZM5.500 7.200h5v1.600h-5Z',
  copy: 'M5 1h9v10h-3v4H2V5h3Zm1.500 1.500V5H11v4.500h1.500v-7Zm-3 4v7h6v-7Z',
  search:
    'M6.700 1a5.700 5.700 0 0 1 4.500 9.200l3.600 3.600-1.400 1.400-3.500-3.600A5.700 5.700 0 1 1 6.700 1Zm0 2a3.700 3.700 0 1 0 0 7.400 3.700 3.700 0 0 0 0-7.400Z',
  back: 'M7 2.500 2 8l5 5.500 1.500-1.300L5.500 9H14V7H5.500l3-3.200Z',
  overview: 'M8 1a7 7 0 1 1-7 7h2.500A4.500 4.500 0 1 0 8 3.500Zm0 4.500a2.500 2.500 0 1 1 0 5 2.500 2.500 0 0 1 0-5Z',
  time: 'M2 1.500h1.600v13H2Zm4 1h8v2.200H6Zm0 4.400h6v2.200H6Zm0 4.400h8v2.200H6Z',
  storage: 'M1.500 9h3v5.500h-3Zm5-4h3v9.500h-3Zm5-3.500h3v13h-3Z',
  restore: 'M2 3.500V8h4.500L4.800 6.300A4.500 4.500 0 1 1 4 10.500H1.800A6.500 6.500 0 1 0 3.400 4.900Z',
  keys: 'M1 4h14v8.500H1Zm1.500 1.500V7H4V5.500Zm3 0V7H7V5.500Zm3 0V7H10V5.500Zm3 0V7h2V5.500Zm-9 3V10H4V8.500Zm3 0V10h5V8.500Zm6.500 0V10h1.500V8.500Z',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, label }: { readonly name: IconName /** Where no word stands beside it. */; readonly label?: string }) {
  const said = label === undefined ? { 'aria-hidden': true as const } : { role: 'img' as const, 'aria-label': label };
  return (
    // biome-ignore lint/a11y/noSvgWithoutTitle: it is hidden, or has its label
    <svg class={`icon icon-${name}`} viewBox="0 0 16 16" width="16" height="16" {...said}>
      <path d={PATHS[name]} fill-rule="evenodd" />
    </svg>
  );
}
