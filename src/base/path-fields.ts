// How a path is told in problems and reports: text, and its bytes where it is not UTF-8.

import { type Bytes, base64Of, isText, toText } from './bytes.ts';

export function pathFields(path: Bytes): { readonly path: string; readonly path_base64?: string } {
  return isText(path) ? { path: toText(path) } : { path: toText(path), path_base64: base64Of(path) };
}
