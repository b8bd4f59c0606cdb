/**
 * `navarch doctor kubernetes --kubeconfig`: one PASS or FAIL line for each part of the path from
 * this program to an API server.
 *
 * Adapter: random numbers.
 */
import type { ClientCheck } from "../reconciler/kubernetes/client-check.ts";
import { VERSION } from "../schema/version.ts";
import type { Context } from "./command.ts";
import { EXIT, type Failure, usage } from "./failure.ts";
import { isNamespace } from "./manifest.ts";
import { show } from "./show.ts";

export async function checkPath(context: Context): Promise<number | Failure> {
  const { flags } = context;
  const namespace = flags.text("namespace") ?? "default";
  if (!isNamespace(namespace)) {
    return usage(`--namespace ${namespace}: expected lower-case letters, digits and dashes`);
  }
  const checks = await examine(context, namespace);
  const data = checks.map(({ name, isGood, message }) => ({
    ...{ check: name, outcome: isGood ? "pass" : "fail", message },
  }));
  await show(context, {
    data,
    names: data.map(({ check, outcome }) => `${check}: ${outcome}`),
    human: () => checks.map(formatCheck).join(""),
  });
  return checks.every(({ isGood }) => isGood) ? EXIT.done : EXIT.failed;
}

const formatCheck = ({ name, isGood, message }: ClientCheck): string =>
  `${isGood ? "PASS" : "FAIL"} ${name}: ${message}\n`;

async function examine({ flags, world }: Context, namespace: string): Promise<ClientCheck[]> {
  const { openTransport, REAL_CLOCK } = await import("../reconciler/kubernetes/connect.ts");
  const { openClient } = await import("../reconciler/kubernetes/client.ts");
  const { checkClient } = await import("../reconciler/kubernetes/client-check.ts");
  const [kubeconfig, context] = [flags.text("kubeconfig"), flags.text("context")];
  const opened = await openTransport({ enabled: true, kubeconfig, context }, world.env);
  if (opened.kind !== "ok") {
    const why = opened.kind === "failed" ? opened.message : "no cluster is configured";
    return [{ name: "kubeconfig", isGood: false, message: why }];
  }
  for (const warning of opened.warnings) world.err(`warning: ${warning}\n`);
  const clock = REAL_CLOCK;
  const { transport } = opened;
  const userAgent = `navarch-doctor/${VERSION}`;
  const api = openClient(transport, { clock, count: () => undefined, userAgent });
  try {
    const suffix = Math.random().toString(36).slice(2, 10);
    const identity = {
      server: transport.server,
      headers: () => transport.headers(),
      tls: () => transport.tls(),
      wallMs: clock.wallMs(),
    };
    return await checkClient({ api, identity, clock, namespace, suffix });
  } finally {
    // An open connection would keep the process running.
    api.close();
  }
}
