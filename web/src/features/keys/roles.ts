export const keyRoles = ['viewer', 'editor', 'browser'] as const;
