/** The application with what machines download alone. */
import { Hono } from "hono";
import { installRoutes } from "../../reconciler/http/route/install.ts";
import type { InstallPorts } from "../../reconciler/http/route/release-folder.ts";
import type { App, Env } from "../../reconciler/http/route/route.ts";
import { partsOf } from "../../reconciler/http/route/table.ts";

export function openInstallApp(install: InstallPorts): App {
  const app = new Hono<Env>();
  for (const route of installRoutes) app.get(partsOf(route).path, (c) => route.run(c, { install }));
  return app;
}
