/**
 * Admits orders: each id once, also over a restart. A command is noted before it runs, and a
 * repeated one gets the stored answer. An older fence belongs to an earlier occupant of the slot
 * and is refused. Pure but for its own memory; `save` makes the notes durable.
 */
import * as v from "valibot";
import { count } from "../../schema/number.ts";
import { AgentCommand, CommandResult } from "../../schema/report.ts";
import { BootId } from "../../schema/id.ts";
import { parseNote } from "../spool/state-file.ts";

/** Stored answers: a control plane has a few commands open for one node. */
const NOTES_MAX = 64;

const Note = v.object({
  id: AgentCommand.entries.command_id,
  type: AgentCommand.entries.type,
  /** The boot in which it began: a reboot has succeeded in another boot. */
  boot_id: BootId,
  /** `null` while it runs. */
  result: v.nullable(CommandResult),
  /** The control plane has accepted the result; absent in notes of older releases. */
  delivered: v.optional(v.boolean(), true),
});
const Notes = v.object({
  fence: count,
  notes: v.array(Note),
  /** The node that the orders were for; absent in notes of older releases. */
  node: v.optional(v.string()),
});
type Note = v.InferOutput<typeof Note>;
type Notes = v.InferOutput<typeof Notes>;

export type Admission =
  | { kind: "run" }
  /** The stored answer, or a refusal. */
  | { kind: "answer"; result: CommandResult }
  /** The answer follows. */
  | { kind: "running" };

export class Orders {
  #notes: Notes;
  readonly #boot: BootId;
  readonly #save: (text: string) => void;
  readonly #running = new Set<string>();

  /**
   * `stored` is the last text of `save`, or `null`. Commands are idempotent at their target. A
   * machine that became another `node` has a fence of its own: the old one would refuse its orders.
   */
  constructor(stored: string | null, boot: BootId, save: (text: string) => void, node?: string) {
    const known = parseNote(Notes, stored) ?? { fence: 0, notes: [] };
    const isOther = node !== undefined && known.node !== undefined && known.node !== node;
    const own = isOther ? { fence: 0, notes: [] } : known;
    this.#notes = node === undefined ? own : { ...own, node };
    this.#boot = boot;
    this.#save = save;
  }

  /** Results that an earlier process did not deliver, and the success of a reboot. */
  recover(): CommandResult[] {
    for (const note of this.#notes.notes) {
      if (note.result !== null || note.type !== "reboot" || note.boot_id === this.#boot) continue;
      note.result = resultOf(note.id, "succeeded", `booted as ${this.#boot}`, 0);
      note.delivered = false;
    }
    // Other unfinished commands are forgotten, and run again when ordered again.
    this.#notes.notes = this.#notes.notes.filter((note) => note.result !== null);
    return this.#notes.notes.flatMap(({ result, delivered }) =>
      result && !delivered ? [result] : [],
    );
  }

  /** The control plane has accepted these results. */
  delivered(results: readonly CommandResult[]): void {
    const ids = new Set(results.map((result) => result.command_id));
    const owed = this.#notes.notes.filter((note) => {
      return note.result && !note.delivered && ids.has(note.id);
    });
    if (owed.length === 0) return;
    for (const note of owed) note.delivered = true;
    this.#save(JSON.stringify(this.#notes));
  }

  admit(command: AgentCommand): Admission {
    const id = command.command_id;
    if (this.#running.has(id)) return { kind: "running" };
    const known = this.#notes.notes.find((note) => note.id === id);
    if (known?.result) return { kind: "answer", result: known.result };
    if (command.fence < this.#notes.fence) {
      const why = `fence ${command.fence} is older than ${this.#notes.fence}`;
      return { kind: "answer", result: resultOf(id, "rejected", why, null) };
    }
    this.#notes.fence = command.fence;
    this.#running.add(id);
    this.#note({ id, type: command.type, boot_id: this.#boot, result: null, delivered: false });
    return { kind: "run" };
  }

  finish(result: CommandResult): void {
    this.#running.delete(result.command_id);
    const note = this.#notes.notes.find((each) => each.id === result.command_id);
    if (!note) return;
    note.result = result;
    this.#note(note);
  }

  #note(note: Note): void {
    const others = this.#notes.notes.filter((each) => each.id !== note.id);
    this.#notes.notes = [...others, note].slice(-NOTES_MAX);
    this.#save(JSON.stringify(this.#notes));
  }
}

/** The contract's bound of `output`. */
const OUTPUT_CHARS_MAX = 8_192;

export function resultOf(
  id: CommandResult["command_id"],
  outcome: CommandResult["outcome"],
  output: string,
  exitCode: number | null,
): CommandResult {
  const text = output.slice(0, OUTPUT_CHARS_MAX);
  return { command_id: id, outcome, exit_code: exitCode, output: text };
}
