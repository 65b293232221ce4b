// Where Cora keeps what is its own and no vault's: which vault belongs to which project, logs. Tiny,
// because the command line needs it before anything else is loaded.

/** The directory of Cora's own state: `/var/lib/cora` as root, else below the user's state directory. */
export function stateDirectory(env: {
  readonly uid: number;
  readonly home: string | undefined;
  readonly xdgStateHome: string | undefined;
}): string | undefined {
  if (env.uid === 0) return '/var/lib/cora';
  if (env.xdgStateHome?.startsWith('/')) return `${env.xdgStateHome}/cora`;
  return env.home === undefined ? undefined : `${env.home}/.local/state/cora`;
}
