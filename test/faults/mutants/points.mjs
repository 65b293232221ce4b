// The list of what the mutation check takes out of the product, made from its syntax tree: every sync, rename, read-back,
// comparison of sums, check that throws for damage, lock and flag. Nothing is listed by hand, so a new one is in the
// list from the day that it is written.

import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import {
  isArrowFunction,
  isAwaitExpression,
  isBinaryExpression,
  isBlock,
  isCallExpression,
  isClassDeclaration,
  isExpressionStatement,
  isFunctionDeclaration,
  isIdentifier,
  isIfStatement,
  isMethodDeclaration,
  isNewExpression,
  isPropertyAccessExpression,
  isReturnStatement,
  isStringLiteral,
  isThrowStatement,
  isVariableDeclaration,
} from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';

/**
 * One place to mutate.
 * @typedef {{ id: string, kind: string, file: string, line: number, start: number, end: number, text: string, instead: string }} Point
 */

const SYNC = /^(?:fsync|fdatasync)(?:Sync)?$|^sync(?:Directory|File|FileSystem|TreeDirectories|Database|Parent|All|Local|Below|Run)$/;
const LOCK = /^(?:takeLock|tryLock|lockForWriting|lockForReading)$/;
const CHECK = /^#?(?:verify|check|prove|readBack)/;
/** What a command refuses to do: of input and places, not of what was written. */
const REFUSAL = /^#?(?:require|refuse)/;
const SUMS = /sha256|digest|crc32|\bhash|Hash|\bsums\b|\bsum\b|isAltered|\bcrc\b/;
/** Codes whose guard is a check of what lies on the disk, and not of what somebody typed. */
const CODES = new Set([
  'damaged',
  'validation_failed',
  'vault_missing',
  'vault_foreign',
  'vault_version',
  'locked',
  'io',
  'db_integrity_check_failed',
]);
const THROWERS = /^(?:damaged|malformed|refuseDamaged|damagedSource|cut|otherSnapshot|writeFailure)$/;
/** Below these nothing is written or checked that a snapshot depends on; the harness itself is not what is tried. */
const OUTSIDE = /^src\/(?:cli|language|base)\/|^src\/actions\/(?:torture|judge)|^src\/(?:cli|main)\.ts$/;

/**
 * @param {string} root of the tree
 * @returns {Point[]} ordered by file and place
 */
export function listPoints(root) {
  const config = join(root, 'tsconfig.json');
  const api = new API({ cwd: root });
  try {
    const { program } = api.updateSnapshot({ openProject: config }).getProject(config);
    const files = program.getSourceFileNames().filter((path) => path.startsWith(join(root, 'src/')) && !path.endsWith('.d.ts'));
    return files.sort().flatMap((path) => {
      const file = relative(root, path);
      return OUTSIDE.test(file) ? [] : pointsOf(program.getSourceFile(path), file, readFileSync(path, 'utf8'));
    });
  } finally {
    api.close();
  }
}

function pointsOf(source, file, text) {
  const points = [];
  const seen = new Map();
  const add = (kind, node, instead, where) => {
    const start = node.getStart(source);
    const said = text.slice(start, node.end).replace(/\s+/g, ' ');
    const name = `${file} ${where} ${kind}: ${said.length > 90 ? `${said.slice(0, 87)}...` : said}`;
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    const line = text.slice(0, start).split('\n').length;
    points.push({ id: nth === 1 ? name : `${name} #${nth}`, kind, file, line, start, end: node.end, text: said, instead });
  };

  const visit = (node, where) => {
    const inside = nameOf(node, text) ?? where;
    const point = pointAt(node, text, source);
    if (point !== undefined) add(point.kind, point.node, point.instead, inside);
    node.forEachChild((child) => {
      // The condition of a guard is one point, not two.
      if (point?.kind === 'guard' && child === point.node) return;
      visit(child, inside);
    });
  };
  visit(source, '(top)');
  return points.sort((a, b) => a.start - b.start || b.end - a.end);
}

/** The function, method or class that a name in the list begins with. */
function nameOf(node) {
  if ((isFunctionDeclaration(node) || isMethodDeclaration(node) || isClassDeclaration(node)) && node.name !== undefined) return node.name.text ?? '#';
  if (isVariableDeclaration(node) && node.initializer !== undefined && isArrowFunction(node.initializer)) return node.name.text;
  return undefined;
}

function pointAt(node, text, source) {
  if (isCallExpression(node)) return callPoint(node, text, source);
  if (isIfStatement(node)) return guardPoint(node);
  if (isBinaryExpression(node)) return comparePoint(node, text, source);
  if (isPropertyAccessExpression(node) && node.name.text === 'O_DIRECT') return { kind: 'read-back', node, instead: '0' };
  // `onPath(directory, syncDirectory)`: the function itself is handed over.
  if (isIdentifier(node) && SYNC.test(node.text) && isCallExpression(node.parent) && node.parent.expression !== node)
    return { kind: 'sync', node, instead: '(() => undefined)' };
  return undefined;
}

function callee({ expression }) {
  if (isIdentifier(expression)) return expression.text;
  if (isPropertyAccessExpression(expression)) return expression.name.text;
  return '';
}

function callPoint(node, text, source) {
  const name = callee(node);
  const args = node.arguments.map((one) => text.slice(one.getStart(source), one.end));
  if (SYNC.test(name)) {
    // The only one with a callback; all others give nothing back that anybody reads.
    const done = args[1];
    return { kind: 'sync', node, instead: name === 'fdatasync' && done !== undefined ? `queueMicrotask(() => (${done})(null))` : 'undefined' };
  }
  if ((name === 'runSync' || name === 'run') && args[0] === 'sync') return { kind: 'sync', node, instead: '({ exitCode: 0 })' };
  if (name === 'replaceFile' && args[2] === 'true') return { kind: 'sync', node: node.arguments[2], instead: 'false' };
  if (name === 'renameSync') return { kind: 'rename', node, instead: 'undefined' };
  if (LOCK.test(name)) return { kind: 'lock', node, instead: '({ release: () => undefined })' };
  if (name === 'flockDescriptor') return { kind: 'lock', node, instead: 'true' };
  if (name === 'readFlags') return { kind: 'flag', node, instead: `(${args[0]}).map(() => ({ immutable: true, append: true }))` };
  if (name === 'changeFlags') return { kind: 'flag', node, instead: 'undefined' };
  if (name === 'equals' && args.length === 1) return { kind: 'compare', node, instead: 'true' };
  if (name === 'isAltered') return { kind: 'compare', node, instead: 'false' };
  const statement = isAwaitExpression(node.parent) ? node.parent.parent : node.parent;
  if (REFUSAL.test(name) && isExpressionStatement(statement)) return { kind: 'refusal', node, instead: 'undefined' };
  if (CHECK.test(name) && isExpressionStatement(statement)) return { kind: name === 'readBack' ? 'read-back' : 'verify', node, instead: 'undefined' };
  return undefined;
}

/** `if (CONDITION) throw ...damaged...`: as if the condition never held. */
function guardPoint(node) {
  const body = isBlock(node.thenStatement) ? node.thenStatement.statements.at(-1) : node.thenStatement;
  const thrown =
    body !== undefined && isThrowStatement(body) ? body.expression : body !== undefined && isExpressionStatement(body) ? body.expression : undefined;
  const made = thrown ?? (body !== undefined && isReturnStatement(body) ? body.expression : undefined);
  if (made === undefined) return undefined;
  const tells =
    (isNewExpression(made) && made.arguments?.[0] !== undefined && isStringLiteral(made.arguments[0]) && CODES.has(made.arguments[0].text)) ||
    (isCallExpression(made) && THROWERS.test(callee(made)));
  return tells ? { kind: 'guard', node: node.expression, instead: 'false' } : undefined;
}

/** A comparison of sums, as if they were equal. */
function comparePoint(node, text, source) {
  const operator = text.slice(node.left.end, node.right.getStart(source)).trim();
  if (operator !== '===' && operator !== '!==') return undefined;
  const sides = [node.left, node.right].map((one) => text.slice(one.getStart(source), one.end));
  if (sides.some((side) => side === "'ok'")) return { kind: 'compare', node, instead: operator === '===' ? 'true' : 'false' };
  // Against nothing, a number or a word it asks something else than "are the bytes the same".
  if (sides.some((side) => /^(?:undefined|null|-?\d+|'.*'|NAMES\.\w+)$/.test(side)) || sides.some((side) => /\.(?:length|size)$/.test(side)))
    return undefined;
  return sides.some((side) => SUMS.test(side)) ? { kind: 'compare', node, instead: operator === '===' ? 'true' : 'false' } : undefined;
}
