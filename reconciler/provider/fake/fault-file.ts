/**
 * Reads faults from a file whenever it changes, so that they can be switched at run time. A missing
 * file means no faults; an invalid one keeps the previous faults and sets `problem`.
 *
 * Adapter: reads a file.
 */
import { readFileSync, statSync } from "node:fs";
import { parseFaults } from "./fault.ts";
import type { Faults } from "./fault.ts";

export class FaultFile {
  readonly #path: string;
  #seen = "never read";
  /** The error in the file, or `null`. */
  problem: string | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** The new faults, or `null` if the file did not change or is invalid. */
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
