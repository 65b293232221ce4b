// What health finds, as data: one finding a check, with what to do about it. Pure.

/** `note`: worth knowing, and nothing that has to be done; it changes neither the state nor the exit code. */
export type HealthLevel = 'ok' | 'note' | 'warning' | 'critical';

/** What a finding means for the exit code: the vault is not there, damage, too old. */
export type HealthGrave = 'vault' | 'damaged' | 'too_old';

export type HealthCheck = {
  /** A stable word: backup, size, space, readable, chain, ... (docs/health.md). */
  readonly name: string;
  readonly level: HealthLevel;
  /** One sentence, no final dot. */
  readonly message: string;
  /** The next command to type, or the next thing to do; undefined where there is nothing to do. */
  readonly next: string | undefined;
  readonly grave?: HealthGrave;
};

export function ok(name: string, message: string): HealthCheck {
  return { name, level: 'ok', message, next: undefined };
}

export function note(name: string, message: string, next: string): HealthCheck {
  return { name, level: 'note', message, next };
}

export function warning(name: string, message: string, next: string): HealthCheck {
  return { name, level: 'warning', message, next };
}

export function critical(name: string, message: string, next: string, grave?: HealthGrave): HealthCheck {
  return { name, level: 'critical', message, next, ...(grave === undefined ? {} : { grave }) };
}

/** The worst level of all checks, as a state. */
export function stateOf(checks: readonly HealthCheck[]): 'ok' | 'warning' | 'critical' {
  if (checks.some(({ level }) => level === 'critical')) return 'critical';
  return checks.some(({ level }) => level === 'warning') ? 'warning' : 'ok';
}
