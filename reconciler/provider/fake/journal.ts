/**
 * The fake cloud's journal: one JSON entry a line, synced before each answer. Any number of control
 * planes may share it and be killed at any byte: writers hold a lock that the kernel releases with
 * the process and first read what others wrote; a torn last line is cut off, because it was never
 * answered. Otherwise the journal only grows: it is the evidence.
 *
 * Adapter: files, and a SQLite file used as nothing but a lock.
 */
import { Database, SQLiteError } from "bun:sqlite";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Section } from "./cloud.ts";
import type { Entry } from "./entry.ts";
import { realityOf } from "./reality.ts";
import type { Reality } from "./reality.ts";

const JOURNAL = "journal.jsonl";
const LOCK = "journal.lock";

/**
 * How long a call waits for the lock. Sections last a few milliseconds; only a suspended process
 * holds it longer, and then the call fails instead of blocking.
 */
const LOCK_WAIT_MS = 1_000;

/**
 * Between two attempts. SQLite's own waits grow to 100 ms, which starves one of two busy processes;
 * a fixed millisecond, about the length of a section, does not.
 */
const LOCK_TRY_MS = 1;

const NEWLINE = 0x0a;

/** A line is not a journal entry. */
export class JournalDamaged extends Error {
  readonly code = "journal_damaged";
}

function parseLines(text: string, path: string, firstLine: number): Entry[] {
  const entries: Entry[] = [];
  let line = firstLine;
  for (const part of text.split("\n")) {
    line += 1;
    if (part === "") continue;
    try {
      entries.push(JSON.parse(part) as Entry);
    } catch (cause) {
      throw new JournalDamaged(`${path}:${line}: not a journal entry`, { cause });
    }
  }
  return entries;
}

/** Every whole entry of a journal, given as its file or its folder, without a torn last line. */
export function readEntries(path: string): Entry[] {
  const file = existsSync(path) && statSync(path).isDirectory() ? join(path, JOURNAL) : path;
  if (!existsSync(file)) return [];
  const text = readFileSync(file, "utf8");
  return parseLines(text.slice(0, text.lastIndexOf("\n") + 1), file, 0);
}

/** What really exists, from a journal's file or folder; also while it is in use. */
export function reality(path: string): Reality {
  return realityOf(readEntries(path));
}

/** An open journal. It owns a file and a lock. */
export class Journal {
  readonly path: string;
  readonly #file: number;
  readonly #lock: Database;
  #offset = 0;
  #line = 0;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.path = join(folder, JOURNAL);
    // Read and append in one descriptor: "a+" creates it and never writes anywhere but at the end.
    this.#file = openSync(this.path, "a+", 0o600);
    // The directory entry must be durable, too.
    const directory = openSync(folder, "r");
    fsyncSync(directory);
    closeSync(directory);
    this.#lock = new Database(join(folder, LOCK), { create: true });
    this.#lock.run("PRAGMA busy_timeout = 0");
  }

  /**
   * Runs `work` under the lock, with the entries of other processes since the last call and a
   * function that makes entries durable.
   */
  exclusive<T>(work: (others: Entry[], append: (entries: Entry[]) => void) => T): Section<T> {
    if (!this.#take()) return { kind: "busy", message: "another process holds the journal" };
    try {
      return { kind: "ok", value: work(this.#catchUp(), (entries) => this.#append(entries)) };
    } finally {
      this.#lock.run("ROLLBACK");
    }
  }

  /** Takes SQLite's write lock without writing; the kernel releases it with the process. */
  #take(): boolean {
    for (let waitedMs = 0; ; waitedMs += LOCK_TRY_MS) {
      try {
        this.#lock.run("BEGIN IMMEDIATE");
        return true;
      } catch (error) {
        if (!(error instanceof SQLiteError) || error.code !== "SQLITE_BUSY") throw error;
        if (waitedMs >= LOCK_WAIT_MS) return false;
        Bun.sleepSync(LOCK_TRY_MS);
      }
    }
  }

  #catchUp(): Entry[] {
    const size = fstatSync(this.#file).size;
    const bytes = Buffer.alloc(size - this.#offset);
    let got = 0;
    while (got < bytes.length) {
      const count = readSync(this.#file, bytes, got, bytes.length - got, this.#offset + got);
      if (count === 0) break;
      got += count;
    }
    const whole = bytes.subarray(0, got).lastIndexOf(NEWLINE) + 1;
    // A writer died inside a line, which was never answered.
    if (this.#offset + whole < size) ftruncateSync(this.#file, this.#offset + whole);
    const entries = parseLines(bytes.toString("utf8", 0, whole), this.path, this.#line);
    this.#offset += whole;
    this.#line += entries.length;
    return entries;
  }

  #append(entries: Entry[]): void {
    if (entries.length === 0) return;
    const bytes = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
    let put = 0;
    while (put < bytes.length) put += writeSync(this.#file, bytes, put);
    fsyncSync(this.#file);
    this.#offset += bytes.length;
    this.#line += entries.length;
  }

  /** Reads everything again next time: memory may be ahead of the file. */
  rewind(): void {
    this.#offset = 0;
    this.#line = 0;
  }

  close(): void {
    this.#lock.close();
    closeSync(this.#file);
  }
}
