/**
 * Leaves of an object that values decide: each is an expression of helm's templates and the same
 * function in this language, so that one description renders the charts and what
 * `navarch manifests console` prints. Pure.
 */
export type Values = { readonly [key: string]: unknown };

/** What a template knows beside its values. */
export type Scope = { values: Values; appVersion: string };

export class Ref {
  readonly helm: string;
  readonly read: (scope: Scope) => unknown;

  constructor(helm: string, read: (scope: Scope) => unknown) {
    this.helm = helm;
    this.read = read;
  }
}

/** `.Values.image.tag`. */
export function value(path: string): Ref {
  return new Ref(`.Values.${path}`, ({ values }) => lookUp(values, path));
}

export const NAMESPACE = value("global.namespace");

/** Texts and values in a row. */
export function join(...parts: readonly (string | Ref)[]): Ref {
  const format = parts.map((part) => (part instanceof Ref ? "%v" : part.replaceAll("%", "%%")));
  const refs = parts.flatMap((part) => (part instanceof Ref ? [part.helm] : []));
  const helm = `(printf ${[JSON.stringify(format.join("")), ...refs].join(" ")})`;
  return new Ref(helm, (scope) => parts.map((part) => textOf(part, scope)).join(""));
}

/** One of two constants. */
export function either(when: Ref, yes: unknown, no: unknown): Ref {
  const helm = `(ternary ${literal(yes)} ${literal(no)} ${when.helm})`;
  return new Ref(helm, (scope) => (when.read(scope) === true ? yes : no));
}

export function and(...all: readonly Ref[]): Ref {
  const helm = `(and ${all.map((one) => one.helm).join(" ")})`;
  return new Ref(helm, (scope) => all.every((one) => one.read(scope) === true));
}

export function equals(one: Ref, text: string): Ref {
  const helm = `(eq ${one.helm} ${JSON.stringify(text)})`;
  return new Ref(helm, (scope) => one.read(scope) === text);
}

export function not(one: Ref): Ref {
  return new Ref(`(not ${one.helm})`, (scope) => one.read(scope) !== true);
}

/** Of whole numbers, which helm reads from YAML as floats. */
export function above(one: Ref, least: number): Ref {
  return new Ref(`(gt (int ${one.helm}) ${least})`, (scope) => Number(one.read(scope)) > least);
}

/** The first, unless it is empty, null or zero. */
export function orElse(one: Ref, other: Ref): Ref {
  const helm = `(${one.helm} | default ${other.helm})`;
  return new Ref(helm, (scope) => one.read(scope) || other.read(scope));
}

export function isGiven(one: Ref): Ref {
  return new Ref(`(ne ${one.helm} "")`, (scope) => one.read(scope) !== "");
}

/** The object with each leaf replaced by what the values say. */
export function settle(node: unknown, scope: Scope): unknown {
  if (node instanceof Ref) return settle(node.read(scope), scope);
  if (Array.isArray(node)) return node.map((one) => settle(one, scope));
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(Object.entries(node).map(([key, one]) => [key, settle(one, scope)]));
}

function lookUp(values: Values, path: string): unknown {
  let at: unknown = values;
  for (const key of path.split(".")) {
    at = at !== null && typeof at === "object" ? (at as Values)[key] : undefined;
  }
  return at ?? null;
}

function textOf(part: string | Ref, scope: Scope): string {
  return part instanceof Ref ? String(part.read(scope)) : part;
}

/** A constant in helm's language. */
function literal(constant: unknown): string {
  if (Array.isArray(constant)) return `(list ${constant.map(literal).join(" ")})`;
  if (constant === null || typeof constant !== "object") return JSON.stringify(constant);
  const pairs = Object.entries(constant);
  const words = pairs.flatMap(([key, one]) => [JSON.stringify(key), literal(one)]);
  return `(dict ${words.join(" ")})`;
}
