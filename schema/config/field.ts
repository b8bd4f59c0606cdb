/**
 * Builds tables of configuration keys. A key has its type, bounds, default, older spellings and the
 * sentence of `docs/configuration.md` in one place; reader, printer, messages, page and static
 * types are derived from it.
 */

/** A share of a pool's desired size, or a fixed number of nodes: `20%` of 3 is max(1, 0.6) = 1. */
export type Share = { kind: "nodes"; nodes: number } | { kind: "percent"; percent: number };

/** What a pool puts on its Nodes; an empty value is none. */
export type PoolTaint = { key: string; value: string; effect: string };

/** Forms of texts, checked in `reconciler/config/form.ts`. */
export type Form =
  | "account"
  | "api-server"
  | "cron"
  | "dns-label"
  | "document"
  | "env"
  | "external"
  | "host-key"
  | "hostlist"
  | "jump"
  | "label-key"
  | "network"
  | "partition"
  | "pointer"
  | "program"
  | "slurm-hosts"
  | "slurm-rest"
  | "time-zone"
  | "url"
  | "user";

/** Kinds of keys, and their values in the normalised configuration. */
type Value = {
  text: string;
  integer: number;
  number: number;
  flag: boolean;
  /** Milliseconds; the name gets `Ms`. */
  duration: number;
  choice: string;
  texts: string[];
  share: Share;
  /** A duration, or -1. */
  grace: number;
  /** A boolean, or `auto`. */
  auto: boolean | "auto";
  /** Labels of Kubernetes. */
  labels: Record<string, string>;
  taints: PoolTaint[];
  /** Headers of HTTP, whose values may hold `${NAME}`. */
  headers: Record<string, string>;
  /** A URL that may hold `${NAME}`; empty is none. */
  hook: string;
  /** Any scalar as its text; empty is none. */
  word: string;
  /** The same, of several lines. */
  prose: string;
  /** A mapping from names to words. */
  words: Record<string, string>;
  /** Texts, joined by commas: the flat record of a provider has no lists. */
  hosts: string;
};
export type Kind = keyof Value;

export type More<T> = {
  /** In milliseconds for durations. Inclusive. */
  min?: number;
  max?: number;
  /** Exclusive. */
  above?: number;
  form?: Form;
  /** Without it, a missing value is `null` unless required. */
  default?: T;
  /** The default in words, where it depends on something else. */
  or?: string;
  /** A missing key is an error: with this hint, or reported by the section's own reader. */
  required?: true | string;
  /** Name in the normalised configuration, unless it is the key in camel case. */
  as?: string;
  /** Spelling of the map dialect; one that begins with `../` stands beside the section. */
  map?: string;
  /** Older spellings. */
  also?: readonly string[];
  /** Types of provider that have the setting; absent = all. */
  types?: readonly string[];
  /** Accepted for guides and older files; nothing reads it. */
  unused?: true;
  /** Types of provider that read a setting which is `unused` elsewhere. */
  usedBy?: readonly string[];
  /** Takes effect at the next start; a reload keeps the old value. */
  restart?: true;
  /** A file whose content the provider reads when it is opened: a change opens it again. */
  opened?: true;
};

export type Field<T = unknown> = More<T> & {
  kind: Kind;
  /** Allowed values of a choice. */
  of?: readonly string[];
  help: string;
  /** Never there; carries the type. */
  value?: T;
};

/** A key with a reader of its own; `type` is for the page. */
export type Own = More<string> & {
  kind: "own";
  type: string;
  help: string;
  /** Keys of the mapping, or of each mapping of the list, that it holds. */
  inner?: () => Table;
};
export type Mapping<T extends Table = Table> = { kind: "mapping"; help: string; keys: T };
export type Table = { readonly [key: string]: Field | Own | Mapping };

type Known = { default: unknown } | { required: true | string };
type Made<T, M, K> = Field<M extends Known ? T : T | null> & M & { kind: K };

const make =
  <K extends Kind>(kind: K) =>
  <const M extends More<Value[K]>>(help: string, more?: M): Made<Value[K], M, K> =>
    ({ kind, help, ...more }) as unknown as Made<Value[K], M, K>;

export const text = make("text");
export const integer = make("integer");
export const number = make("number");
export const flag = make("flag");
export const duration = make("duration");
export const texts = make("texts");
export const share = make("share");
export const grace = make("grace");
export const auto = make("auto");
export const labels = make("labels");
export const taints = make("taints");
export const headers = make("headers");
export const hook = make("hook");
export const hosts = make("hosts");
export const word = make("word");
export const prose = make("prose");
export const words = make("words");

export const choice = <const Of extends readonly string[], const M extends More<Of[number]>>(
  help: string,
  of: Of,
  more?: M,
): Made<Of[number], M, "choice"> =>
  ({ kind: "choice", of, help, ...more }) as unknown as Made<Of[number], M, "choice">;

export const own = (
  help: string,
  type: string,
  more: More<string> & Pick<Own, "inner"> = {},
): Own => ({ kind: "own", type, help, ...more });

export const mapping = <const T extends Table>(help: string, keys: T): Mapping<T> => {
  return { kind: "mapping", help, keys };
};

type Camel<K extends string> = K extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : K;
type NameOf<K extends string, F> = F extends { as: infer As extends string }
  ? As
  : F extends { kind: "duration" | "grace" }
    ? `${Camel<K>}Ms`
    : Camel<K>;
type Names<T extends Table> = {
  [K in keyof T & string as T[K] extends Own ? never : NameOf<K, T[K]>]: T[K];
};

/** The normalised form of a section. */
export type ValueOf<T extends Table> = {
  -readonly [N in keyof Names<T>]: Names<T>[N] extends Mapping<infer Keys>
    ? ValueOf<Keys>
    : Names<T>[N] extends { value?: infer V }
      ? V
      : never;
};

/** The values that one place has of a section; `null` = none. */
export type PartOf<T extends Table> = {
  -readonly [N in keyof Names<T>]: Names<T>[N] extends Mapping<infer Keys>
    ? PartOf<Keys>
    : Names<T>[N] extends { value?: infer V }
      ? V | null
      : never;
};

/** The name of a key in the normalised configuration. */
export function nameOf(key: string, field: Table[string]): string {
  if ("as" in field && field.as !== undefined) return field.as;
  const name = key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return field.kind === "duration" || field.kind === "grace" ? `${name}Ms` : name;
}
