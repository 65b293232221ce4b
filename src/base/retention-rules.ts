// How many snapshots are kept, as numbers, and the presets of Cora's ancestors by name. Pure.

/** From the shortest period to the longest. */
export const TIERS = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type Tier = (typeof TIERS)[number];

/** How much of a kind is kept. All of it 0: everything. */
export type Rules = Readonly<Record<Tier, number>> & {
  /** The newest so many. */
  readonly last: number;
  /** Milliseconds back from the newest good one; 0 for none. */
  readonly within: number;
};

const NONE: Rules = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0, within: 0 };

export const PRESETS = {
  /** A backup a day for a week, Sundays for four weeks, the 1st for a year. */
  atlas: { ...NONE, daily: 7, weekly: 4, monthly: 12 },
  atocore: { ...NONE, daily: 7, weekly: 4, monthly: 6 },
  /** Two days of hours, a month of days, twelve weeks, a year. */
  cortex: { ...NONE, hourly: 48, daily: 30, weekly: 12, monthly: 12 },
  /** Nothing is ever removed. */
  all: NONE,
} as const satisfies Record<string, Rules>;

export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = ['atlas', 'atocore', 'cortex', 'all'] as const satisfies readonly PresetName[];

/** What was said about a kind: a preset's name, or numbers; those that are not named are the preset's, else 0. */
export type RulesSpec = PresetName | (Partial<Rules> & { readonly preset?: PresetName });

export function rulesOf(spec: RulesSpec): Rules {
  if (typeof spec === 'string') return PRESETS[spec];
  const { preset, ...rules } = spec;
  return { ...PRESETS[preset ?? 'all'], ...rules };
}

/** True where rules say nothing: then everything is kept. */
export function isEmpty(rules: Rules): boolean {
  return rules.last === 0 && rules.within === 0 && TIERS.every((tier) => rules[tier] === 0);
}

/** `48 hourly, 30 daily, 12 weekly, 12 monthly`. */
export function describeRules(rules: Rules): string {
  if (isEmpty(rules)) return 'everything';
  const parts = TIERS.filter((tier) => rules[tier] > 0).map((tier) => `${rules[tier]} ${tier}`);
  if (rules.last > 0) parts.unshift(`the newest ${rules.last}`);
  if (rules.within > 0) parts.push(`all within ${Math.round(rules.within / 3_600_000)} h of the newest`);
  return parts.join(', ');
}

/** In the order of `Date.getDay`. */
export const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;
export type WeekdayName = (typeof WEEKDAYS)[number];

/** A person keeps a snapshot. When that ends, in milliseconds since 1970; undefined: never. */
export type Pin = { readonly until: number | undefined };

/** `pinned`, `pinned until 2026-12-24`. */
export function pinText({ until }: Pin): string {
  return until === undefined ? 'pinned' : `pinned until ${new Date(until).toISOString().slice(0, 10)}`;
}
