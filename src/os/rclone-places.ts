// Where a remote of rclone's configuration ends: a disk of this machine looks like any other remote by its name alone. Read from
// the file itself, so that a look at the state starts no program; what the file does not tell is taken for a remote.

/** Backends that stand for another remote or a directory, which their `remote` names. */
const WRAPPERS: ReadonlySet<string> = new Set(['alias', 'crypt', 'chunker', 'compress', 'hasher', 'cache']);

/**
 * The directory of this machine that a remote stands for; undefined where it leads elsewhere, or nobody can tell.
 * @param remote as `[offsite] remote` has it
 * @param config the text of rclone's configuration; empty where there is none
 * @param home what `~/` stands for
 */
export function localDirectoryOf(remote: string, config: string, home: string | undefined): string | undefined {
  const sections = sectionsOf(config);
  let place = remote;
  // Each step leaves one section behind; a circle ends as well.
  for (let step = 0; step < 10; step++) {
    if (place.startsWith('~/')) return home === undefined ? undefined : `${home}/${place.slice(2)}`;
    if (place.startsWith('/')) return place;
    const match = /^(:?)([^:,/]+)[^:]*:(.*)$/.exec(place);
    if (match === null) return undefined;
    const [, connection, name = '', path = ''] = match;
    const section = connection === ':' ? { type: name } : sections.get(name.toLowerCase());
    if (section?.['type'] === 'local') return path.startsWith('/') ? path : undefined;
    const target = section?.['remote'];
    if (section === undefined || !WRAPPERS.has(section['type'] ?? '') || target === undefined) return undefined;
    place = path === '' ? target : `${target.replace(/\/$/, '')}${/:$/.test(target) ? '' : '/'}${path}`;
  }
  return undefined;
}

function sectionsOf(config: string): Map<string, Record<string, string>> {
  const sections = new Map<string, Record<string, string>>();
  let section: Record<string, string> = {};
  for (const line of config.split('\n')) {
    const header = /^\s*\[(.+)\]\s*$/.exec(line);
    const option = /^\s*([a-z0-9_]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (header?.[1] !== undefined) {
      section = {};
      sections.set(header[1].toLowerCase(), section);
    } else if (option?.[1] !== undefined) section[option[1]] = option[2] ?? '';
  }
  return sections;
}
