/** The whole table of routes: what the server carries, the OpenAPI document describes and the tests walk. */
import { type AlertRouteDeps, alertRoutes } from './alert-routes.ts';
import { type AuditRouteDeps, auditRoutes } from './audit-routes.ts';
import { createAuditWords } from './audit-words.ts';
import { type CommandRouteDeps, commandRoutes } from './command-routes.ts';
import { type ContractRouteDeps, contractRoutes } from './contract-routes.ts';
import { type DeviceRouteDeps, deviceRoutes } from './device-routes.ts';
import { type GapRouteDeps, gapRoutes } from './gap-routes.ts';
import { type GroupRouteDeps, groupRoutes } from './group-routes.ts';
import { type HubRouteDeps, hubRoutes } from './hub-routes.ts';
import { type LiveRouteDeps, liveRoutes } from './live-routes.ts';
import { type OperatorRouteDeps, operatorRoutes } from './operator-routes.ts';
import { type QuarantineRouteDeps, quarantineRoutes } from './quarantine-routes.ts';
import { type QueryRouteDeps, queryRoutes } from './query-routes.ts';
import type { Route } from './route.ts';
import { type ScheduleRouteDeps, scheduleRoutes } from './schedule-routes.ts';
import { type SessionRouteDeps, sessionRoutes } from './session-routes.ts';
import { type StoreRouteDeps, storeRoutes } from './store-routes.ts';
import { type TalkerRouteDeps, talkerRoutes } from './talker-routes.ts';
import { type TokenRouteDeps, tokenRoutes } from './token-routes.ts';

/** What all routes together need. */
export interface RouteDeps
  extends ContractRouteDeps,
    DeviceRouteDeps,
    CommandRouteDeps,
    GroupRouteDeps,
    ScheduleRouteDeps,
    QueryRouteDeps,
    QuarantineRouteDeps,
    GapRouteDeps,
    StoreRouteDeps,
    LiveRouteDeps,
    AlertRouteDeps,
    AuditRouteDeps,
    TokenRouteDeps,
    TalkerRouteDeps,
    OperatorRouteDeps,
    SessionRouteDeps,
    HubRouteDeps {}

/** Every route there is, each with the role it needs. */
export function routesOf(deps: RouteDeps): Route[] {
  const routes: Route[] = [
    ...hubRoutes(deps),
    ...contractRoutes(deps),
    ...deviceRoutes(deps),
    ...tokenRoutes(deps),
    ...talkerRoutes(deps),
    ...commandRoutes(deps),
    ...groupRoutes(deps),
    ...scheduleRoutes(deps),
    ...queryRoutes(deps),
    ...quarantineRoutes(deps),
    ...gapRoutes(deps),
    ...storeRoutes(deps),
    ...liveRoutes(deps),
    ...alertRoutes(deps),
    ...operatorRoutes(deps),
    ...sessionRoutes(deps),
  ];
  const audit = auditRoutes(deps, (event) => words(event));
  const words = createAuditWords([...routes, ...audit]);
  return [...routes, ...audit];
}
