/**
 * Faults given by a file, read again whenever it changes, so that a person or a test can turn them
 * on while everything runs. A file that is missing means no faults; one that cannot be understood
 * leaves the faults as they were and says what is wrong.
 *
 * Adapter: reads a file.
 */
import { readFileSync, statSync } from "node:fs";
import { parseFaults } from "./fault.ts";
import type { Faults } from "./fault.ts";

export class FaultFile {
  readonly #path: string;
  #seen = "never read";
  /** What is wrong with the file, or `null`. */
  problem: string | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** The new faults, or `null` when nothing changed or the file is bad. */
  read(): Faults | null {
    const stat = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    // A writer that replaces the file by rename changes the inode even within one time stamp.
    const seen = stat === undefined ? "none" : `${stat.mtimeNs} ${stat.ino} ${stat.size}`;
    if (seen === this.#seen) return null;
    const first = this.#seen === "never read";
    this.#seen = seen;
    if (stat === undefined) {
      this.problem = null;
      return first ? null : {};
    }
    const read = this.#parse();
    this.problem = read.kind === "bad" ? `${this.#path}: ${read.message}` : null;
    return read.kind === "ok" ? read.faults : null;
  }

  #parse(): ReturnType<typeof parseFaults> {
    try {
      return parseFaults(JSON.parse(readFileSync(this.#path, "utf8")));
    } catch (error) {
      return { kind: "bad", message: error instanceof Error ? error.message : String(error) };
    }
  }
}
