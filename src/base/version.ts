// The version of Cora: package.json's, put in by scripts/build.mjs as a constant.

declare const CORA_VERSION: string | undefined;

/** `0.1.0`; `0.0.0-source` where the TypeScript files run without a build. */
export const VERSION = typeof CORA_VERSION === 'string' ? CORA_VERSION : '0.0.0-source';
