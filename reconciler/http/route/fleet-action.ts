/** Actions on nodes and pools: each asks for confirmation and then calls the API as the reader. */
import { COMMAND_TYPES, type CommandType } from "../../../schema/command.ts";
import { formatDuration } from "../../../schema/duration.ts";
import type { Node } from "../../../schema/node.ts";
import { confirmHold, confirmOrder, confirmRelease } from "../page/confirm.ts";
import { nodePath, poolPath } from "../page/node-cell.ts";
import { orderWords } from "../page/node.ts";
import type { RoutePorts } from "./route.ts";
import { nodeNamed } from "./locate-node.ts";
import { viewOf } from "./node.ts";
import { previewOrder, type OrderPreview } from "./order.ts";
import { poolNamed, statusView } from "./pool.ts";
import { invalid, Refusal } from "./request.ts";
import type { ActionRoute, Asked, Confirmation } from "./site.ts";

/** On the page a reason is required: whoever looks at 3 a.m. wants to know why. */
function reasonIn(form: ReadonlyMap<string, string>): string {
  const reason = (form.get("reason") ?? "").trim();
  return reason === "" ? invalid("reason: say why, for other operators") : reason;
}

/** Empty fields are not sent: the API has its own defaults. */
function moreOf(type: CommandType, form: ReadonlyMap<string, string>): Record<string, unknown> {
  const timeout = (form.get("timeout") ?? "").trim();
  return {
    ...(type === "drain" && timeout !== "" ? { timeout } : {}),
    ...(type !== "cordon" && form.get("force") === "yes" ? { force: true } : {}),
  };
}

async function confirm(
  ports: RoutePorts,
  { param }: Pick<Asked, "param">,
  type: CommandType,
): Promise<Confirmation> {
  const node = nodeNamed(ports, param("id"), true);
  const { preview, refusal } = await previewOf(ports, node, type);
  const pool = ports.reconciler.activeConfig().pools.find(({ name }) => name === node.pool);
  const deadlineMs = pool?.drain.timeoutMs ?? 0;
  return confirmOrder({
    type,
    view: viewOf(ports, node),
    price: node.instance?.pricePerHour ?? null,
    preview,
    refusal,
    drainDefault: deadlineMs === 0 ? "no deadline" : formatDuration(deadlineMs),
  });
}

/** Without force first. Throws what force would not change either. */
async function previewOf(
  ports: RoutePorts,
  node: Node,
  type: CommandType,
): Promise<{ preview: OrderPreview; refusal: string | null }> {
  const asked = { type, reason: "given", timeoutMs: null };
  try {
    return { preview: await previewOrder(ports, node, { ...asked, force: false }), refusal: null };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const preview = await previewOrder(ports, node, { ...asked, force: true });
    return { preview, refusal: error.message };
  }
}

const holdPath = (name: string): string => `/v1/pools/${encodeURIComponent(name)}/hold`;

export const fleetActions: readonly ActionRoute<RoutePorts>[] = [
  ...COMMAND_TYPES.map((type): ActionRoute<RoutePorts> => ({
    path: `/fleet/node/:id/${type}`,
    role: "operator",
    confirm: (asked, ports) => confirm(ports, asked, type),
    async run({ param }, form, call, ports) {
      const { id } = nodeNamed(ports, param("id"), true);
      const body = { reason: reasonIn(form), ...moreOf(type, form) };
      const words = orderWords(type, viewOf(ports, nodeNamed(ports, id, true)));
      await call("POST", `/v1/nodes/${encodeURIComponent(id)}/${type}`, body);
      return { notice: `${words} of ${id} is accepted.`, to: nodePath(id) };
    },
  })),
  {
    role: "operator",
    path: "/fleet/pool/:pool/hold",
    confirm: ({ param }, ports) => confirmHold(statusView(ports, poolNamed(ports, param("pool")))),
    async run({ param }, form, call) {
      const name = param("pool");
      const span = (form.get("for") ?? "").trim();
      const body = { reason: form.get("reason") ?? "", ...(span === "" ? {} : { for: span }) };
      await call("PUT", holdPath(name), body);
      return { notice: `Pool ${name} is held.`, to: poolPath(name) };
    },
  },
  {
    role: "operator",
    path: "/fleet/pool/:pool/release",
    confirm: ({ param }, ports) =>
      confirmRelease(statusView(ports, poolNamed(ports, param("pool")))),
    async run({ param }, form, call) {
      const name = param("pool");
      await call("DELETE", holdPath(name), { reason: form.get("reason") ?? "" });
      return { notice: `The hold of pool ${name} is released.`, to: poolPath(name) };
    },
  },
];
