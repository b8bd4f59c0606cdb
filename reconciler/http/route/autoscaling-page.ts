/**
 * The pages `/autoscaling` of HorizontalPodAutoscalers. They show what `/api/hpa-events` answers,
 * to administrators on internal networks.
 */
import { autoscalingPage, HPAS_SHOWN, servicePage } from "../page/autoscaling.ts";
import type { Page } from "../page/page.ts";
import { clusterOf, isPlace, NO_CLUSTER, valueOf } from "./console-cluster.ts";
import { viewTimeline } from "./hpa-event.ts";
import { invalid, Refusal } from "./request.ts";
import type { Asked, PageRoute } from "./site.ts";
import type { ConsolePorts } from "./console-cluster.ts";
import type { QueuePorts } from "./queue.ts";

const ADMIN = { role: "admin", internal: true } as const;

async function buildAll(asked: Asked, ports: ConsolePorts): Promise<Page> {
  const page = asked.query("page") ?? "1";
  if (!/^[1-9]\d{0,5}$/.test(page)) return invalid("page: expected a whole number from 1 on");
  const log = ports.console === null ? NO_CLUSTER : await ports.console.hpas();
  const first = (Number(page) - 1) * HPAS_SHOWN;
  if (log.kind === "failed") return autoscalingPage({ url: asked.url, page: 1, hpas: log });
  const all = log.value.timeline.all();
  const shown = all.slice(first, first + HPAS_SHOWN).map((hpa) => {
    const { namespace, target } = hpa;
    return { hpa, event: log.value.events({ namespace, service: target }, 1)[0] ?? null };
  });
  const hpas = { kind: "ok", value: { shown, total: all.length } } as const;
  return autoscalingPage({ url: asked.url, page: Number(page), hpas });
}

async function buildService(asked: Asked, ports: ConsolePorts & QueuePorts): Promise<Page> {
  const [namespace, service] = [asked.param("namespace"), asked.param("service")];
  const absent = (): never => {
    throw new Refusal("not_found", `no HorizontalPodAutoscaler scales ${namespace}/${service}`);
  };
  if (!isPlace(`${namespace}/${service}`)) return absent();
  const log = valueOf(await clusterOf(ports).hpas());
  const [ref] = log.named(service, namespace);
  if (ref === undefined) return absent();
  const timeline = viewTimeline(ports, log, ref);
  return servicePage({ ...ref, timeline });
}

export const autoscalingPages: readonly PageRoute<ConsolePorts & QueuePorts>[] = [
  {
    ...ADMIN,
    path: "/autoscaling",
    label: "Autoscaling",
    build: (asked, ports) => buildAll(asked, ports),
  },
  {
    ...ADMIN,
    path: "/autoscaling/:namespace/:service",
    build: (asked, ports) => buildService(asked, ports),
  },
];
