/** The section that each key belongs to, for the message about a misplaced key. */
import { AUTOSCALERS } from "../../schema/config/autoscaler.ts";
import { metaOf, type Table } from "../../schema/config/field.ts";
import { KUBERNETES } from "../../schema/config/kubernetes.ts";
import { DRAIN, HEALTH, POOL, SCALING } from "../../schema/config/pool.ts";
import { GKE, POOLS_FROM_KUBERNETES } from "../../schema/config/provisioner.ts";
import { PROVIDER_KEYS } from "../../schema/config/provider.ts";
import { ROOT } from "../../schema/config/root.ts";
import { POOL_SLURM, SLURM } from "../../schema/config/slurm.ts";
import { AUDIT, BACKUP, MANAGER, SERVER, TLS, WEBHOOK } from "../../schema/config/server.ts";
import { wordsOf } from "./alias.ts";

const HOMES: readonly (readonly [home: string, table: Table])[] = [
  ["the top level", ROOT],
  ["server", SERVER],
  ["server.auth", metaOf(SERVER.auth).keys],
  ["server.audit", AUDIT],
  ["server.backup", BACKUP],
  ["server.tls", TLS],
  ["server.notifier", metaOf(SERVER.notifier).keys],
  ["server.notifier.webhook", WEBHOOK],
  ["instance_manager", MANAGER],
  ["a pool", POOL],
  ["a pool's scaling", SCALING],
  ["a pool's health", HEALTH],
  ["a pool's scaling.autoscaler", AUTOSCALERS],
  ["drain", DRAIN],
  ["kubernetes", KUBERNETES],
  ["provisioners[].kubernetes", POOLS_FROM_KUBERNETES],
  ["provisioners[].kubernetes.gke", GKE],
  ["slurm", SLURM],
  ["a pool's slurm", POOL_SLURM],
  ["a provider", PROVIDER_KEYS],
];

/** Keys with too general a name for a hint. */
const VAGUE =
  "class command count cron disk duration expiry faults force hosts image interval namespace " +
  "network pointer query reboot retention retry settle source timeout url username zone";

/** `null` where a key has several homes, or none. */
const HOME_OF = new Map<string, string | null>(VAGUE.split(" ").map((key) => [key, null]));
for (const [home, table] of HOMES) {
  for (const key of wordsOf(table)) HOME_OF.set(key, HOME_OF.has(key) ? null : home);
}

export function homeOf(key: string): string | null {
  return HOME_OF.get(key) ?? null;
}

/** Keys that earlier versions read, by path, and what took their place: a file that has one loads. */
export const WITHDRAWN: ReadonlyMap<string, string> = new Map([
  [
    "server.custom_metrics",
    "use Prometheus Adapter or KEDA (docs/queue.md), " +
      "and delete the APIService v1beta2.custom.metrics.k8s.io if it names navarch-custom-metrics",
  ],
]);

/** Keys of upstream's documents that no program reads, with the key to write instead. */
export const RETIRED: Readonly<Record<string, string | undefined>> = Object.assign(
  Object.create(null),
  {
    minReplicas: "min_nodes",
    maxReplicas: "max_nodes",
    grpc_port: "server.address",
    api_key: "api_key_env, which names an environment variable",
    api_key_secret: "api_key_env",
    credentials_secret: "credentials_file",
  },
);
