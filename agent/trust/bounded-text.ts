/**
 * Reads an answer up to a bound: an endless answer, or a compressed one that expands, must not use
 * up the agent's memory.
 *
 * Adapter: network.
 */

/** The text of an answer; rejects above `bytesMax`. */
export async function readBounded(response: Response, bytesMax: number): Promise<string> {
  return (await readBytes(response, bytesMax)).toString("utf8");
}

/** `what` names the answer in the error. */
export async function readBytes(
  response: Response,
  bytesMax: number,
  what = "the answer",
): Promise<Buffer> {
  if (response.body === null) return Buffer.alloc(0);
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts);
    bytes += value.byteLength;
    if (bytes > bytesMax) {
      // Not awaited: the cancellation of an endless stream may never finish.
      reader.cancel().catch(() => undefined);
      throw new Error(`${what} has more than ${bytesMax} bytes`);
    }
    parts.push(value);
  }
}
