/**
 * What a workflow run needs of the machine: workflow files, templates, the report's file, the lines
 * of standard input, and randomness.
 *
 * Adapter: files, standard input, randomness.
 */
import { randomBytes } from "node:crypto";
import { access, constants, open, readdir, rename, stat, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { createInterface, type Interface } from "node:readline";

const BYTES_MAX = 4 * 1024 * 1024;

/** A file or folder is missing or unusable: its path and why. */
export class FileError extends Error {
  readonly isMissing: boolean;

  constructor(message: string, isMissing = false) {
    super(message);
    this.isMissing = isMissing;
  }
}

/** Each item, or the regular files in it in the order of their names. */
export async function listFiles(items: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const item of items) {
    const found = await stat(item).catch((cause: unknown) => fail(item, cause));
    if (!found.isDirectory()) files.push(item);
    else {
      const names = await readdir(item).catch((cause: unknown) => fail(item, cause));
      const inside = names.sort().map((name) => join(item, name));
      const kinds = await Promise.all(inside.map((path) => stat(path).catch(() => null)));
      const regular = inside.filter((_, i) => kinds[i]?.isFile() === true);
      if (regular.length === 0) throw new FileError(`${item}: no file in this folder`);
      files.push(...regular);
    }
  }
  return files;
}

/** A regular file or a pipe, at most 4 MiB. */
export async function readText(path: string): Promise<string> {
  const file = await open(path, "r").catch((cause: unknown) => fail(path, cause));
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of file.createReadStream({ autoClose: false, end: BYTES_MAX })) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).byteLength;
    }
    if (bytes > BYTES_MAX) throw new FileError(`${path}: longer than 4 MiB`);
    return Buffer.concat(chunks).toString("utf8");
  } catch (cause) {
    return fail(path, cause);
  } finally {
    await file.close();
  }
}

/** A template: relative to the working directory, then to the workflow file. */
export async function readTemplate(path: string, source: string | null): Promise<string> {
  const beside = source === null || isAbsolute(path) ? null : resolve(dirname(source), path);
  try {
    return await readText(path);
  } catch (cause) {
    const isMissing = cause instanceof FileError && cause.isMissing;
    if (!isMissing || beside === null) throw cause;
    return readText(beside);
  }
}

/** Before a run of an hour: whether its report can be written. */
export async function wantWritable(path: string): Promise<void> {
  const folder = dirname(resolve(path));
  await access(folder, constants.W_OK).catch((cause: unknown) => fail(folder, cause));
}

/** Whole or not at all. */
export async function writeReport(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(draft, text);
    await rename(draft, path);
  } catch (cause) {
    fail(path, cause);
  }
}

const MISSING = "no such file or folder";
const WHY: Readonly<Record<string, string>> = {
  ENOENT: MISSING,
  EACCES: "permission denied",
  EISDIR: "a folder, expected a file",
  ENOTDIR: MISSING,
};

function fail(path: string, cause: unknown): never {
  if (cause instanceof FileError) throw cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  throw new FileError(`${path}: ${WHY[code] ?? code}`, WHY[code] === MISSING);
}

/** Unlike any other run's, also with the same seed: cleanup tells by it what is ours. */
export const drawFieldManager = (): string => `navarch-sim-${randomBytes(8).toString("hex")}`;

/** Of a submission, which may be sent twice. */
export const drawKey = (): string => `sim-${randomBytes(16).toString("hex")}`;

/** A whole number below 2^32. */
export const drawSeed = (): number => randomBytes(4).readUInt32LE();

/** Lines of standard input, one for each call; all calls resolve once it is closed. */
export class InputLines {
  #reader: Interface | null = null;
  readonly #lines: string[] = [];
  readonly #waiting: (() => void)[] = [];
  #isClosed = false;

  /** Resolves as well when the signal aborts. */
  next(signal: AbortSignal): Promise<void> {
    this.#open();
    if (this.#lines.shift() !== undefined || this.#isClosed || signal.aborted) {
      return Promise.resolve();
    }
    const { promise, resolve: settle } = Promise.withResolvers<void>();
    this.#waiting.push(settle);
    signal.addEventListener("abort", () => settle(), { once: true });
    return promise;
  }

  /** Open input would keep the process running. */
  close(): void {
    if (this.#reader === null) return;
    this.#reader.close();
    process.stdin.destroy();
  }

  #open(): void {
    if (this.#reader !== null) return;
    this.#reader = createInterface({ input: process.stdin, terminal: false });
    this.#reader.on("line", (line) => {
      const settle = this.#waiting.shift();
      if (settle === undefined) this.#lines.push(line);
      else settle();
    });
    this.#reader.on("close", () => {
      this.#isClosed = true;
      for (const settle of this.#waiting.splice(0)) settle();
    });
  }
}
