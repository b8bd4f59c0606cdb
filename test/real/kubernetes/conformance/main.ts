/**
 * The client's conformance as a program, compiled as the product is: `who` says whom the server
 * takes us for, `all` goes through every case. One JSON line for each result on standard output; a
 * line `{"ask": …}` asks the test for an act on the server, which answers with a line on standard
 * input.
 */
import { parseArgs } from "node:util";
import type { Clock } from "../../../../reconciler/core/clock.ts";
import type { KubeAnswer } from "../../../../reconciler/kubernetes/api.ts";
import { openClient } from "../../../../reconciler/kubernetes/client.ts";
import { openTransport } from "../../../../reconciler/kubernetes/connect.ts";
import type { Transport } from "../../../../reconciler/kubernetes/connect.ts";
import { NAMESPACE, call, readJson, succeed } from "./case.ts";
import type { Case, Ground, Result } from "./case.ts";
import { READS } from "./read.ts";
import { WRITES } from "./write.ts";

const clock: Clock = {
  wallMs: () => Date.now(),
  monoMs: () => performance.now(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

const option = { type: "string" } as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { kubeconfig: option, context: option, root: option },
});

async function open(): Promise<Transport> {
  const { kubeconfig = null, context = null, root } = values;
  const settings = { enabled: true, kubeconfig, context };
  const ports = root === undefined ? {} : { root };
  const opened = await openTransport(settings, process.env, { clock, ...ports });
  if (opened.kind === "ok") return opened.transport;
  throw new Error(opened.kind === "failed" ? opened.message : opened.kind);
}

const print = (value: unknown): void => console.log(JSON.stringify(value));

const answers = console[Symbol.asyncIterator]();
const ground = (transport: Transport): Ground => ({
  api: openClient(transport, { clock, count: () => {}, userAgent: "navarch-conformance" }),
  clock,
  async ask(what) {
    print({ ask: what });
    await answers.next();
  },
});

/** What the server answers to the question who asks. */
async function who(): Promise<void> {
  const transport = await open();
  const { api } = ground(transport);
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const kind = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
  const answer = await call(api, { verb: "create", path, body: kind });
  print({ who: nameIn(answer), name: transport.name, rssMiB: rssMiB(), answer });
}

function nameIn(answer: KubeAnswer): unknown {
  const body = answer.kind === "ok" ? answer.body : null;
  return readJson(body).at("status", "userInfo", "username") ?? null;
}

const rssMiB = (): number => Math.round(process.memoryUsage().rss / 1_048_576);

async function all(): Promise<void> {
  const on = ground(await open());
  const body = { metadata: { name: NAMESPACE } };
  await succeed(on.api, { verb: "create", path: "/api/v1/namespaces", body });
  for (const one of [...WRITES, ...READS]) print(await tell(one, on));
  print({ rssMiB: rssMiB() });
}

async function tell({ name, run }: Case, on: Ground): Promise<Result> {
  const startedMs = clock.monoMs();
  const took = () => Math.round(clock.monoMs() - startedMs);
  try {
    const detail = await run(on);
    return { name, ok: true, detail, ms: took() };
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    return { name, ok: false, detail, ms: took() };
  }
}

try {
  if (positionals[0] === "who") await who();
  else await all();
} catch (cause) {
  print({ failed: cause instanceof Error ? cause.message : String(cause) });
  process.exitCode = 1;
}
process.exit();
