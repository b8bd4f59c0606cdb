/**
 * What later tasks refer to by task id: registered templates, submitted objects, hurt nodes. One
 * for all files of an invocation, and for all posts to a server.
 */
import { TaskError } from "./task.ts";

/** A resource of the API, as discovery tells it. */
export type Resource = {
  group: string;
  version: string;
  /** Plural: `jobs`. */
  resource: string;
  kind: string;
  isNamespaced: boolean;
  /** Its status is written through a path of its own. */
  hasStatus: boolean;
};

/** One block of a template file. `line`: where it begins in the file, from 1. */
export type Block = { resource: Resource; body: string; line: number };

/** What `RegisterObj` keeps. */
export type Registered = {
  template: string;
  blocks: readonly Block[];
  nameFormat: string | null;
  podNameFormat: string | null;
  podCount: string | null;
};

/** One object that `SubmitObj` created or found. */
export type Submitted = {
  resource: Resource;
  namespace: string | null;
  name: string;
  /** Position of its block in the template file, from 0. */
  block: number;
  /** `null` in a dry run. */
  uid: string | null;
};

/** What `SubmitObj` keeps. */
export type Submission = {
  objects: readonly Submitted[];
  /** Blocks of the template file. */
  blocks: number;
  /** Regular expressions of pod names, and how many pods are expected; empty without pods. */
  podNames: readonly string[];
  podCount: number;
  /** Empty: in all namespaces, as the objects are in none. */
  podNamespaces: readonly string[];
};

export class State {
  readonly #isServer: boolean;
  readonly #registered = new Map<string, Registered>();
  readonly #submitted = new Map<string, Submission>();
  /** Ids submitted since `beginPost`. */
  readonly #own = new Set<string>();
  readonly #nodes = new Map<string, readonly string[]>();
  #count = 0;

  /** A server gets the same file twice: it accepts an identical template again. */
  constructor({ isServer = false }: { isServer?: boolean } = {}) {
    this.#isServer = isServer;
  }

  /** The next `_ENUM_`: 1, 2, … for the life of the process. */
  nextEnum(): number {
    this.#count += 1;
    return this.#count;
  }

  register(id: string, value: Registered): void {
    const before = this.#registered.get(id);
    const isSame = before !== undefined && JSON.stringify(before) === JSON.stringify(value);
    if (before !== undefined && !(this.#isServer && isSame)) {
      throw new TaskError(`SetObjType: duplicate task ID ${id}`);
    }
    this.#registered.set(id, value);
  }

  registered(id: string): Registered {
    const found = this.#registered.get(id);
    if (found === undefined) throw unknownId(id, "RegisterObj", [...this.#registered.keys()]);
    return found;
  }

  /**
   * Before each post to a server: ids that an earlier post submitted may be submitted again, and
   * then name the new objects.
   */
  beginPost(): void {
    this.#own.clear();
  }

  /** Throws if the id is taken: asked before anything is created. */
  checkSubmit(id: string): void {
    if (this.#own.has(id)) throw new TaskError(`SetObjInfo: duplicate taskID ${id}`);
  }

  submit(id: string, value: Submission): void {
    this.checkSubmit(id);
    this.#own.add(id);
    this.#submitted.set(id, value);
  }

  submitted(id: string): Submission {
    const found = this.#submitted.get(id);
    if (found === undefined) throw unknownId(id, "SubmitObj", [...this.#submitted.keys()]);
    return found;
  }

  /** The names of the Nodes that `InjectFault` picked, for `CheckNode`. */
  keepNodes(id: string, names: readonly string[]): void {
    this.#nodes.set(id, names);
  }

  nodes(id: string): readonly string[] {
    const found = this.#nodes.get(id);
    if (found === undefined) throw unknownId(id, "InjectFault", [...this.#nodes.keys()]);
    return found;
  }
}

/** Ids that the error about an unknown one lists. */
const IDS_MAX = 5;

function unknownId(id: string, type: string, ids: readonly string[]): TaskError {
  const shown = ids.slice(0, IDS_MAX).join(", ");
  const more = ids.length > IDS_MAX ? ` and ${ids.length - IDS_MAX} more` : "";
  const hint = ids.length === 0 ? "" : `; ${type} tasks that ran: ${shown}${more}`;
  return new TaskError(`unreferenced task ID ${id}${hint}`);
}
