// What of the process the off-site commands need: where keys lie.

import type { OffsiteSetup } from '../actions/offsite-remote.ts';
import type { Config } from '../base/config.ts';
import type { Machine } from './command.ts';

export function offsiteSetup(config: Config['offsite'], machine: Machine): OffsiteSetup {
  return { config, places: { home: machine.home, credentialsDirectory: machine.env('CREDENTIALS_DIRECTORY') } };
}
