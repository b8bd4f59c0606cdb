/**
 * What an invocation created, so that `-cleanup` removes it and nothing else. An object is noted
 * before it is asked for: if the reply is lost, `managedFields` tells whether it is ours. Effects
 * that are no objects, such as an injected fault, are noted with what undoes them.
 */

/** An API path of one object (`/api/v1/nodes/virtual-a`), percent-encoded. */
export type MadePath = string;

export type MadeObject = {
  path: MadePath;
  /** For people: `job default/job1`. */
  name: string;
  /** Virtual nodes stay with `-cleanup.nodes=false`. */
  isNode: boolean;
  /** `null`: asked for, without an answer yet. */
  uid: string | null;
};

/** Resolves with what became of the effect: `cleared`, or why it is not undone. */
export type Undo = () => Promise<{ ok: boolean; say: string }>;

export class Made {
  readonly #undos = new Map<string, Undo>();
  readonly #objects = new Map<MadePath, MadeObject>();

  /** Before the request. */
  intend(path: MadePath, name: string, isNode = false): void {
    if (!this.#objects.has(path)) this.#objects.set(path, { path, name, isNode, uid: null });
  }

  /** The server answered that it made the object. */
  confirm(path: MadePath, uid: string): void {
    const object = this.#objects.get(path);
    if (object !== undefined) object.uid = uid;
  }

  /** It was there before, was refused, or is deleted. */
  drop(path: MadePath): void {
    this.#objects.delete(path);
  }

  /** Before the effect. `name` is for people: `fault of gpu-1`. */
  noteUndo(name: string, undo: Undo): void {
    this.#undos.set(name, undo);
  }

  dropUndo(name: string): void {
    this.#undos.delete(name);
  }

  /** Latest first. */
  undos(): [name: string, undo: Undo][] {
    return [...this.#undos].reverse();
  }

  has(path: MadePath): boolean {
    return this.#objects.has(path);
  }

  /** Latest first. */
  all(): MadeObject[] {
    return [...this.#objects.values()].reverse();
  }
}
