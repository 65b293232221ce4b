// The options of `save` and `backup` that name artefacts.

import type { ArtefactChoice } from '../actions/artefact-dumps.ts';
import type { CommandHost } from '../actions/trust.ts';
import type { FlagTable } from './flags.ts';

export const ARTEFACT_FLAGS = {
  with: { kind: 'list', value: 'NAME', help: 'also the optional artefact NAME ([[artefacts]]); a command artefact runs now' },
  without: { kind: 'list', value: 'NAME', help: 'leave the artefact NAME out this time' },
  chroma: { kind: 'switch', help: 'the same as --with chroma' },
  noChroma: { kind: 'switch', help: 'the same as --without chroma' },
} as const satisfies FlagTable;

export type ArtefactOptions = {
  readonly with?: readonly string[];
  readonly without?: readonly string[];
  readonly chroma?: boolean;
  readonly noChroma?: boolean;
};

export function artefactChoice(options: ArtefactOptions, host: CommandHost): ArtefactChoice {
  return { ...artefactNames(options), host };
}

export function artefactNames(options: ArtefactOptions): { readonly with: readonly string[]; readonly without: readonly string[] } {
  return {
    with: [...(options.with ?? []), ...(options.chroma === true ? ['chroma'] : [])],
    without: [...(options.without ?? []), ...(options.noChroma === true ? ['chroma'] : [])],
  };
}
