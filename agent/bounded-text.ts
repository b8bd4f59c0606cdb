/**
 * The text of an answer, up to a bound. Who answers may be a stranger in between or a broken proxy:
 * an answer without end, or a packed one that unfolds, must not take the agent's memory.
 *
 * Adapter: network.
 */

/** Rejects once there is more. */
export async function readBounded(response: Response, bytesMax: number): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts).toString("utf8");
    bytes += value.byteLength;
    if (bytes > bytesMax) {
      // Not waited for: a stream that never ends may not end this way either.
      reader.cancel().catch(() => undefined);
      throw new Error(`the answer has more than ${bytesMax} bytes`);
    }
    parts.push(value);
  }
}
