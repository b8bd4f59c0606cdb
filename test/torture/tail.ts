/**
 * Follows a cloud's journal while others write it: every whole entry once, in order. A line that is
 * not finished yet is left for the next look, because its writer may be killed inside it, and then
 * it never happened. Adapter: files.
 */
import { existsSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import type { Entry } from "../../reconciler/provider/fake/entry.ts";

const NEWLINE = 0x0a;

export class Tail {
  readonly #path: string;
  #file: number | null = null;
  #offset = 0;

  /** `folder` is the cloud's own. */
  constructor(folder: string) {
    this.#path = join(folder, "journal.jsonl");
  }

  /** What was written since the last call. */
  read(): Entry[] {
    if (this.#file === null) {
      if (!existsSync(this.#path)) return [];
      this.#file = openSync(this.#path, "r");
    }
    const size = fstatSync(this.#file).size;
    if (size <= this.#offset) return [];
    const bytes = Buffer.alloc(size - this.#offset);
    const got = readSync(this.#file, bytes, 0, bytes.length, this.#offset);
    const whole = bytes.subarray(0, got).lastIndexOf(NEWLINE) + 1;
    this.#offset += whole;
    return bytes
      .toString("utf8", 0, whole)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Entry);
  }
}
