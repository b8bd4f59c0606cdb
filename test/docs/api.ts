/** `docs/api.md`: every route of the HTTP API, as its row in the table of routes says. */
import type { Access } from "../../reconciler/http/route/route.ts";
import { partsOf, ROUTES } from "../../reconciler/http/route/table.ts";
import { code, formatHead, formatTable, readProse } from "./markdown.ts";

/** Access that is not a role's. */
const SAYS: Readonly<Partial<Record<Access, string>>> = {
  token: "every role",
  agent: "`node`, `admin`",
  join: "join token",
  signature: "none",
  public: "none",
  metrics: "none; `viewer` with `metrics_auth`",
};

export const sayAccess = (access: Access): string => SAYS[access] ?? code(access);

export function formatApi(): string {
  const rows = ROUTES.map((route) => {
    const { method, path } = partsOf(route);
    return [method, code(path), sayAccess(route.access), route.says];
  });
  const head = formatHead("HTTP API", "the routes of `reconciler/http/route/`");
  return `${head}${readProse("api")}${formatTable(["method", "path", "role", "meaning"], rows)}`;
}
