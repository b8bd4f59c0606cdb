/**
 * Opens the Kubernetes API for commands that stand in for Go programs: an explicit flag first, then
 * `KUBECONFIG`, the service account of the pod, and `~/.kube/config`.
 */
import type { KubeApi } from "../reconciler/kubernetes/api.ts";
import { VERSION } from "../schema/version.ts";
import type { GoFlag, GoFlags } from "./go-flag.ts";
import type { World } from "./world.ts";

export const KUBE_FLAGS: readonly GoFlag[] = [
  { name: "kubeconfig", kind: "string", value: "FILE", help: "kubeconfig file" },
  { name: "kubectx", kind: "string", value: "NAME", help: "context of the kubeconfig" },
  {
    name: "kube-api-qps",
    kind: "float",
    value: "N",
    default: "500",
    help: "calls a second to the API server, at most",
  },
  {
    name: "kube-api-burst",
    kind: "int",
    value: "N",
    default: "500",
    help: "calls at once after a pause, at most",
  },
];

export type OpenedKube =
  | {
      ok: true;
      api: KubeApi;
      /** URL of the server. */
      server: string;
      warnings: readonly string[];
    }
  | { ok: false; message: string };

const NO_CLUSTER =
  "no cluster is configured: pass -kubeconfig FILE or -kubectx NAME, or set KUBECONFIG";

/** Sends nothing. `flags` were read with `KUBE_FLAGS`. */
export async function openKube(world: World, flags: GoFlags): Promise<OpenedKube> {
  const { openTransport, REAL_CLOCK } = await import("../reconciler/kubernetes/connect.ts");
  const { openClient } = await import("../reconciler/kubernetes/client.ts");
  const { paced } = await import("../simulator/workflow/pace.ts");
  const pace = { perSecond: flags.number("kube-api-qps"), burst: flags.number("kube-api-burst") };
  if (!(pace.perSecond > 0)) return refuse("'kube-api-qps' must be a positive number");
  if (!(pace.burst >= 1)) return refuse("'kube-api-burst' must be at least 1");
  const context = flags.text("kubectx") || null;
  const kubeconfig = flags.text("kubeconfig") || null;
  const settings = { enabled: true, kubeconfig, context, isEnvironmentFirst: true };
  const opened = await openTransport(settings, world.env, { homeFolder: world.home });
  if (opened.kind === "off" || opened.kind === "absent") return refuse(NO_CLUSTER);
  if (opened.kind === "failed") {
    return refuse(opened.why === "no_cluster" ? NO_CLUSTER : explain(opened.message, context));
  }
  const { transport, warnings } = opened;
  const clock = REAL_CLOCK;
  const userAgent = `navarch/${VERSION}`;
  const client = openClient(transport, { clock, count: () => undefined, userAgent });
  return { ok: true, api: paced(client, pace, clock), server: transport.server, warnings };
}

const refuse = (message: string): OpenedKube => ({ ok: false, message });

/** What the messages of `openTransport` call a context is a flag here. */
function explain(message: string, context: string | null): string {
  const named = JSON.stringify(context);
  return message.replace(`no context ${named}`, `no kubecontext ${named}`);
}
