/*
 * Copyright (C) the ngx_http_comms_module authors
 */

import { twoMachines } from './nodes.mjs';

twoMachines('per_channel', { layout: 'per_channel' });
