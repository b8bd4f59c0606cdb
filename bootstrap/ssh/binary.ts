/**
 * A file as a stream of compressed bytes, for a machine that has no way to the internet. Compressed
 * while it is sent: a second of a core for a hundred megabytes, and nothing kept in memory.
 *
 * Adapter: reads the agent's binary.
 */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { constants, createGzip, createZstdCompress } from "node:zlib";
import { unreachable } from "../../schema/unreachable.ts";
import type { Compression } from "../run/job.ts";

/** Fast levels: halving the time of a push over a slow link is worth it, a tenth more is not. */
const GZIP_LEVEL = 1;
const ZSTD_LEVEL = 1;
const READ_BYTES = 256 * 1_024;

/** Throws while it is read if the file cannot be. */
export function openBinary(path: string, compress: Compression): AsyncIterable<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: READ_BYTES });
  const packer = createPacker(compress);
  // The callback is only there so that an error travels to the reader and nowhere else.
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
