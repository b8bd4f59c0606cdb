/**
 * What a case of the client's conformance is: a name and a story told to a real API server. A case
 * that is not as it should be throws; what it returns is a figure or a word for the record.
 */
import type { KubeAnswer, KubeApi, KubeRequest } from "../../../../reconciler/kubernetes/api.ts";
import type { Clock } from "../../../../reconciler/core/clock.ts";

export type Ground = {
  api: KubeApi;
  clock: Clock;
  /** Asks the test outside to do something to the server, and waits until it is done. */
  ask(what: "compact" | "restart" | "freeze" | "thaw"): Promise<void>;
};

export type Case = { name: string; run: (ground: Ground) => Promise<string> };
export type Result = { name: string; ok: boolean; detail: string; ms: number };

export const NAMESPACE = "conformance";
export const CALL_MS = 20_000;

export function expectThat(what: string, isSo: boolean, found?: unknown): void {
  if (isSo) return;
  throw new Error(`not so: ${what}; found ${JSON.stringify(found)?.slice(0, 600)}`);
}

type Ask = Partial<KubeRequest> & Pick<KubeRequest, "verb" | "path">;

export function call(api: KubeApi, ask: Ask): Promise<KubeAnswer> {
  return api.call({ timeoutMs: CALL_MS, lane: "status", ...ask });
}

/** The body of a success; anything else throws. */
export async function succeed(api: KubeApi, ask: Ask): Promise<Json> {
  const answer = await call(api, ask);
  expectThat(`${ask.verb} ${ask.path} succeeds`, answer.kind === "ok", answer);
  return readJson(answer.kind === "ok" ? answer.body : null);
}

/** The refusal, which must have this status. */
export async function refuse(
  api: KubeApi,
  status: number,
  ask: Ask,
): Promise<Extract<KubeAnswer, { kind: "refused" }>> {
  const answer = await call(api, ask);
  if (answer.kind === "refused" && answer.status === status) return answer;
  throw new Error(
    `not so: ${ask.verb} ${ask.path} is refused with ${status}; found ${print(answer)}`,
  );
}

const print = (value: unknown): string => JSON.stringify(value).slice(0, 600);

/** A value of which any path can be read; what is not there is `undefined`. */
export type Json = { at(...path: (string | number)[]): unknown };

export function readJson(value: unknown): Json {
  return {
    at(...path) {
      return path.reduce<unknown>((held, key) => {
        if (Array.isArray(held)) return typeof key === "number" ? held[key] : undefined;
        const isMap = typeof held === "object" && held !== null;
        return isMap ? Object.entries(held).find(([name]) => name === key)?.[1] : undefined;
      }, value);
    },
  };
}

/** Looks every 50 ms until `look` says so, for `ms` at most. */
export async function until(
  what: string,
  ms: number,
  clock: Clock,
  look: () => boolean | Promise<boolean>,
): Promise<void> {
  const endMs = clock.monoMs() + ms;
  while (!(await look())) {
    expectThat(`${what} within ${ms} ms`, clock.monoMs() < endMs);
    await new Promise<void>((resolve) => clock.after(50, resolve));
  }
}
