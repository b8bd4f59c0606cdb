/**
 * Streams a file compressed, for machines without internet access. Many machines get the same file
 * at once, so it is compressed once, during the first transfer, and kept in memory until unused for
 * a while.
 *
 * Adapter: reads the agent's binary, a timer.
 */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import { unreachable } from "../../schema/unreachable.ts";
import type { Compression } from "../run/job.ts";

/** Fast level: it halves the transfer time; a higher one saves little more. */
const GZIP_LEVEL = 1;
const ZSTD_LEVEL = 1;
const READ_BYTES = 256 * 1_024;

/** An agent of 115 MB packs to about 40 MB; a round of set-ups is over within seconds. */
const KEEP_MS = 30_000;

const packs = new Map<string, Pack>();

/** Throws while read if the file is unreadable or changed since it was compressed. */
export async function* openBinary(
  path: string,
  compress: Compression,
): AsyncGenerator<Uint8Array, void> {
  const { size, mtimeMs, ino } = await stat(path);
  const key = [path, compress, size, mtimeMs, ino].join("\n");
  const pack = packs.get(key) ?? new Pack(path, compress, () => packs.delete(key));
  packs.set(key, pack);
  yield* pack.read();
}

/** The compressed bytes of one file so far, for any number of readers. */
class Pack {
  readonly #chunks: Uint8Array[] = [];
  readonly #drop: () => void;
  #end: { error: unknown } | "open" | "whole" = "open";
  #waiting: (() => void)[] = [];
  #readers = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(path: string, compress: Compression, drop: () => void) {
    this.#drop = drop;
    void this.#fill(path, compress);
  }

  async *read(): AsyncGenerator<Uint8Array, void> {
    this.#readers++;
    clearTimeout(this.#timer);
    try {
      for (let at = 0; ; at++) {
        while (at >= this.#chunks.length && this.#end === "open") await this.#more();
        const chunk = this.#chunks[at];
        if (chunk !== undefined) yield chunk;
        else if (typeof this.#end === "object") throw this.#end.error;
        else return;
      }
    } finally {
      this.#readers--;
      if (this.#readers === 0) this.#timer = setTimeout(this.#drop, KEEP_MS).unref();
    }
  }

  async #fill(path: string, compress: Compression): Promise<void> {
    try {
      for await (const chunk of packed(path, compress)) {
        this.#chunks.push(chunk);
        this.#wake();
      }
      this.#end = "whole";
    } catch (error) {
      this.#end = { error };
      // The next reader retries.
      this.#drop();
    }
    this.#wake();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

function packed(path: string, compress: Compression): AsyncIterable<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: READ_BYTES });
  const packer = createPacker(compress);
  // The callback keeps an error from being thrown: the reader gets it.
  return packer === null ? file : pipeline(file, packer, () => undefined);
}

function createPacker(compress: Compression) {
  switch (compress) {
    case "zstd":
      return createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } });
    case "gzip":
      return createGzip({ level: GZIP_LEVEL });
    case "none":
      return null;
    default:
      return unreachable(compress);
  }
}
