/** Who asks: the operator of a request by its header, and whether the role may do what the route does. */
import { RefusedError } from '../kit/errors.ts';
import { includesRole, type Operator, type Operators } from '../operators/operators.ts';
import type { Route } from './route.ts';

/** The token in an `Authorization` header; undefined when there is none. */
export function tokenIn(authorization = ''): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization)?.[1];
}

/** The operator whose token the header holds. Throws `RefusedError` (unauthorized). */
export function identify(authorization: string | undefined, operators: Pick<Operators, 'authenticate'>): Operator {
  const token = tokenIn(authorization);
  if (!token) throw new RefusedError('unauthorized', 'Send Authorization: Bearer <operator token>.');
  const operator = operators.authenticate(token, Date.now());
  if ('code' in operator) throw new RefusedError(operator.code, operator.detail);
  return operator;
}

/** Throws `RefusedError` (forbidden) when the operator's role is less than the route's. */
export function demand(role: Route['role'], operator: Operator): void {
  if (role === 'anyone' || includesRole(operator.role, role)) return;
  throw new RefusedError('forbidden', `This needs the role ${role}; "${operator.name}" is ${operator.role}.`);
}
