/**
 * Streams text answers of the API server, which proxies the log of a container from its kubelet.
 *
 * Adapter: the network.
 */
import type { Clock } from "../core/clock.ts";
import { judgeAnswer } from "./answer.ts";
import type { KubeText, TextEnd } from "./api.ts";
import { explain } from "./client.ts";
import type { Transport } from "./connect.ts";

/** Of an error's body. */
const ERROR_BYTES_MAX = 64 * 1024;

type Asked = { url: string; accept: string; signal: AbortSignal };

export function openText(
  transport: Transport,
  ports: { clock: Clock; userAgent: string },
): KubeText {
  const { clock, userAgent } = ports;
  const ask = async ({ url, accept, signal }: Asked): Promise<Response> => {
    const [headers, tls] = await Promise.all([transport.headers(), transport.tls()]);
    const own = { ...headers, accept, "user-agent": userAgent };
    // A redirect would send the credentials to another server.
    return fetch(url, { headers: own, tls, signal, redirect: "manual", timeout: false });
  };
  return {
    async text(path, query, take, { signal, answerMs }) {
      const stop = new AbortController();
      const abort = (): void => stop.abort();
      signal.addEventListener("abort", abort);
      if (signal.aborted) abort();
      let isLate = false;
      const cancel = clock.after(answerMs, () => {
        isLate = true;
        abort();
      });
      const search = new URLSearchParams(query).toString();
      const asked = {
        url: `${transport.server}${path}${search === "" ? "" : `?${search}`}`,
        ...{ accept: "*/*", signal: stop.signal },
      };
      try {
        let response = await ask(asked);
        if (response.status === 401) {
          await response.body?.cancel();
          transport.refresh();
          response = await ask(asked);
        }
        if (response.status !== 200) return await refusalOf(response, clock.wallMs());
        cancel();
        return await readChunks(response, take);
      } catch (cause) {
        if (isLate) return { kind: "lost", message: `no answer in ${answerMs} ms` };
        if (signal.aborted) return { kind: "ended" };
        return { kind: "lost", message: explain(cause, transport.server) };
      } finally {
        cancel();
        stop.abort();
        signal.removeEventListener("abort", abort);
      }
    },
  };
}

async function readChunks(
  { body }: Response,
  take: (chunk: Uint8Array) => Promise<boolean>,
): Promise<TextEnd> {
  const reader = body?.getReader();
  for (;;) {
    const chunk = await reader?.read();
    if (chunk === undefined || chunk.done) return { kind: "ended" };
    if (await take(chunk.value)) continue;
    await reader?.cancel();
    return { kind: "ended" };
  }
}

async function refusalOf(response: Response, wallMs: number): Promise<TextEnd> {
  const { status, headers } = response;
  const parts: Uint8Array[] = [];
  let bytes = 0;
  await readChunks(response, async (part) => {
    parts.push(part);
    bytes += part.byteLength;
    return bytes < ERROR_BYTES_MAX;
  });
  const text = Buffer.concat(parts).toString("utf8");
  const head = { status, retryAfter: headers.get("retry-after") };
  const answer = judgeAnswer(head, parse(text), wallMs);
  if (answer.kind !== "ok") return answer;
  return { kind: "lost", message: `HTTP ${status} in place of a log` };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
