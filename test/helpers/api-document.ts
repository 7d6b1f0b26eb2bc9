/** Reads an OpenAPI document and judges real answers, and the document's own examples, by its schemas. */
import { Ajv2020 } from 'ajv/dist/2020.js';

interface Content {
  schema: Record<string, unknown>;
  example?: unknown;
}

interface Response {
  $ref?: string;
  description: string;
  content?: Record<string, Content>;
}

export interface Operation {
  summary: string;
  description: string;
  operationId: string;
  'x-role': string;
  parameters?: (Content & { name: string; in: string; description: string })[];
  requestBody?: { description: string; content: Record<string, Content> };
  responses: Record<string, Response>;
}

export interface ApiDocument {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { responses: Record<string, Response> };
}

export function createJudge(document: ApiDocument) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  const checks = new Map<object, ReturnType<Ajv2020['compile']>>();
  const operations = new Map<string, Operation>();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods))
      operations.set(`${method.toUpperCase()} ${path}`, operation);
  }

  /** What is wrong with a value; empty when it fits. */
  function misfit(schema: Record<string, unknown>, value: unknown): string {
    const check = checks.get(schema) ?? ajv.compile({ ...schema, components: document.components });
    checks.set(schema, check);
    return check(value) ? '' : `${ajv.errorsText(check.errors)}: ${JSON.stringify(value)?.slice(0, 300)}`;
  }

  const resolved = (response: Response): Response =>
    response.$ref ? document.components.responses[response.$ref.split('/').at(-1)!]! : response;

  /** The promise that holds for this status: its own, or for refusals that of all the others. */
  function responseOf({ responses }: Operation, status: number): Response | undefined {
    const found = responses[status] ?? (status >= 400 ? responses.default : undefined);
    return found && resolved(found);
  }

  return {
    /** By method and path, as in `GET /v1/devices/{id}`. */
    operations,
    misfit,
    resolved,
    /** In what a real answer breaks the promise; empty when it keeps it. */
    complaint(operation: Operation, { status, type, body }: { status: number; type: string; body: unknown }): string {
      const response = responseOf(operation, status);
      if (!response) return `status ${status} is not documented`;
      if (!response.content) return body === undefined ? '' : `a body that is not documented: ${JSON.stringify(body)}`;
      const mime = type.split(';')[0]!;
      const content = response.content[mime];
      return content ? misfit(content.schema, body) : `content type ${mime} is not documented`;
    },
  };
}
