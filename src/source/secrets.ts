// Which files are taken for secrets by their names: environment files, private keys, credentials, password stores. Pure.
// A copy that leaves the machine in the clear is refused where there is one (NEW-10), so a doubt counts as a secret;
// examples, templates and public keys are none. Contents are never looked at.

import type { Bytes } from '../base/bytes.ts';

/** A file that is taken for a secret, and for which kind. */
export type SecretFile = { readonly path: Bytes; readonly reason: string };

/** What a name says about itself: the file shows the form, and holds no secret. `.env.example`, `secrets.sample.yml`, `sample.env`. */
const IS_EXAMPLE = /(?:^|[._-])(?:examples?|sample|template|tmpl|dist|schema)(?:[._-]|$)/;
const IS_CODE = /\.(?:[cm]?[jt]sx?|py|rb|go|rs|java|kt|php|cs|c|h|cpp|sh|md|rst|html|css|scss|vue|svelte|d\.ts|map)$/;
const DATA = '(?:json|ya?ml|toml|env|ini|conf|cfg|properties|txt|csv|xml)';
/** Locked already. */
const IS_ENCRYPTED = /\.(?:age|gpg|pgp|enc)$/;

/** Keys by the lower-case name of the file: `default.key` and `example.pem` may well be somebody's. */
const KEYS: readonly (readonly [RegExp, string])[] = [
  [/^(?:id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?)$|^ssh_host_.*_key$/, 'ssh key'],
  [/\.(?:pem|key|p8|p12|pfx|pkcs12|jks|keystore|bcfks|kdb|kdbx|ppk)$/, 'key or key store'],
];

/** By the lower-case name of the file, unless it is an example. The first that fits gives the reason. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^\.env(?:$|[._-])|^\.envrc$|.\.env$/, 'environment file'],
  [/^(?:key|keys|identity|identities|age)\.txt$|^(?:age|agekey)[-_.].*\.(?:txt|key)$|\.(?:agekey|age-key|identity)$/, 'age identity'],
  [
    /^\.?(?:npmrc|netrc|_netrc|pgpass|pypirc|my\.cnf|mylogin\.cnf|dockercfg|htpasswd|htdigest|git-credentials|vault_pass(?:\.txt)?|vault-token|terraformrc|boto|s3cfg|msmtprc|fetchmailrc|smbcredentials|rclone\.conf|backup\.env)$/,
    'credentials',
  ],
  [new RegExp(String.raw`(?:^|[._-])(?:credentials?|passwords?|passwd|creds)(?:[_-][^.]*)?(?:\.${DATA})?$`), 'credentials'],
  [new RegExp(String.raw`secret.*\.${DATA}$|^\.?secrets?$|^client_secret`), 'secrets'],
  [
    /^service[-_]?account.*\.json$|^gcp[-_].*key.*\.json$|^application_default_credentials\.json$|^firebase-adminsdk.*\.json$|-firebase-adminsdk-.*\.json$/,
    'service account',
  ],
  [
    new RegExp(String.raw`(?:^|[._-])(?:api|access|auth|private|signing|deploy)[-_]?(?:keys?|tokens?)(?:\.${DATA})?$|^\.?tokens?(?:\.${DATA})?$`),
    'token',
  ],
  [/^kubeconfig(?:[._-]|$)|\.kubeconfig$/, 'kubeconfig'],
  [/\.tfvars(?:\.json)?$|\.tfstate(?:\.backup|\.\d+\.backup)?$/, 'terraform'],
  [/^master\.key$|^wp-config\.php$|^local_settings\.py$|^\.bash_history$|^\.zsh_history$|^\.psql_history$/, 'credentials'],
];

/** By a directory on the way: everything below is private, but for public parts. */
const BELOW: readonly (readonly [RegExp, string])[] = [
  [/(?:^|\/)\.ssh\//, 'ssh key'],
  [/(?:^|\/)\.gnupg\//, 'gpg key'],
  [/(?:^|\/)\.password-store\//, 'password store'],
  [/(?:^|\/)\.(?:aws|azure|oci)\//, 'cloud credentials'],
  [/(?:^|\/)(?:\.config\/)?gcloud\/(?:credentials|access_tokens|legacy_credentials|application_default)/, 'cloud credentials'],
  [/(?:^|\/)\.kube\//, 'kubeconfig'],
  [/(?:^|\/)\.docker\/config\.json$/, 'credentials'],
  [/(?:^|\/)\.?secrets?\//, 'secrets'],
];
const IS_PUBLIC = /\.pub$|(?:^|\/)(?:known_hosts(?:\.old)?|authorized_keys)$|(?:^|\/)\.gitignore$|(?:^|\/)\.gitkeep$/;

/**
 * For what a path is taken, or undefined where it looks like no secret.
 * @param path relative, of a file (or of a link to one)
 */
export function secretReason(path: Bytes): string | undefined {
  const lower = path.toLowerCase();
  if (IS_PUBLIC.test(lower)) return undefined;
  const name = lower.slice(lower.lastIndexOf('/') + 1);
  const key = KEYS.find(([pattern]) => pattern.test(name));
  if (key !== undefined) return key[1];
  if (IS_EXAMPLE.test(name)) return undefined;
  const below = BELOW.find(([pattern]) => pattern.test(lower));
  if (below !== undefined && !IS_CODE.test(name)) return below[1];
  if (IS_ENCRYPTED.test(name)) return undefined;
  return NAMES.find(([pattern]) => pattern.test(name))?.[1];
}

/** Those of the files that are taken for secrets, in their order. */
export function secretFiles(paths: Iterable<Bytes>): SecretFile[] {
  const found: SecretFile[] = [];
  for (const path of paths) {
    const reason = secretReason(path);
    if (reason !== undefined) found.push({ path, reason });
  }
  return found;
}
